// What the AVX-512 kernels share. Everything is static: these files are compiled for more than every CPU has.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgekit {

// The first `count` lanes of 16; all of them from 16 on.
static inline __mmask16 lanes(int count) {
  return count >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

// 16 levels: clamp(round(value) + zero_point, low, high), ties to even.
static inline __m128i to_levels(__m512 value, __m512i zero_point, __m128i low, __m128i high) {
  const __m512i level = _mm512_add_epi32(_mm512_cvtps_epi32(value), zero_point);
  const __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(level, _mm512_setzero_si512()));
  return _mm_min_epu8(_mm_max_epu8(bytes, low), high);
}

}  // namespace edgekit
