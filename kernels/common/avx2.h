// What the AVX2 kernels share. Everything is static: these files are compiled for more than every CPU has.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgekit {

// All bits in the first `count` lanes of 8; in all of them from 8 on.
static inline __m256i lanes8(std::int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < 8 ? static_cast<int>(count) : 8), lane);
}

// Up to 8 floats, zeros behind them.
static inline __m256 load8(const float* from, std::int64_t count) {
  return count >= 8 ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lanes8(count));
}

static inline void store8(float* to, std::int64_t count, __m256 values) {
  if (count >= 8)
    _mm256_storeu_ps(to, values);
  else
    _mm256_maskstore_ps(to, lanes8(count), values);
}

static inline float sum8(__m256 values) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float max8(__m256 values) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace edgekit
