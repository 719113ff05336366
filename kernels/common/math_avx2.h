// exp, sigmoid and tanh of 8 floats, for AVX2 kernels: branch-free, no tables.
//
// Errors are the largest over every float, in eps = 2^-23 of the result or, where stated, absolute. NaN stays NaN.
#pragma once

#include <immintrin.h>

namespace edgekit {

// x clamped to low..high. The order of operands matters: min and max give their second one where either is NaN.
static inline __m256 clamp8(__m256 x, float low, float high) {
  return _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x));
}

// e^r for |r| <= ln(2) / 2: minimax of degree 5 with its first two terms held at 1, relative error 1e-7.
static inline __m256 exp_fraction8(__m256 r) {
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(8.312477358e-3f), r, _mm256_set1_ps(4.189009735e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.666711482e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.999923192e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  return _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
}

// 2^n for whole |n| <= 126.
static inline __m256 power_of_two8(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// e^x: 2^n * e^r with n = round(x / ln(2)). Over- and underflows to inf and 0 as expf does. 1.5 eps.
static inline __m256 exp8(__m256 x) {
  x = clamp8(x, -105.0f, 89.0f);
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);  // ln(2) in two parts: n times the first is exact
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  const __m256i power = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(power, 1);  // 2^n may lack a float of its own
  const __m256 part = _mm256_mul_ps(exp_fraction8(r), power_of_two8(half));
  return _mm256_mul_ps(part, power_of_two8(_mm256_sub_epi32(power, half)));
}

// 1 / (1 + e^-x). Below -87 it stays at 1.6e-38. 0.8 eps, absolute.
static inline __m256 sigmoid8(__m256 x) {
  x = clamp8(x, -87.0f, 30.0f);
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(-1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_fnmsub_ps(n, _mm256_set1_ps(0.693147182f), x);  // |n| is small enough for one part of ln(2)
  const __m256 e = _mm256_mul_ps(exp_fraction8(r), power_of_two8(_mm256_cvtps_epi32(n)));
  return _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_add_ps(e, _mm256_set1_ps(1.0f)));
}

// tanh(x) = x * P(x^2) / Q(x^2), minimax on |x| <= 9.02, beyond which it is 1. 2.6 eps: it may come out above 1.
static inline __m256 tanh8(__m256 x) {
  x = clamp8(x, -9.0f, 9.0f);
  const __m256 y = _mm256_mul_ps(x, x);
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(1.331800687e-8f), y, _mm256_set1_ps(2.058278762e-5f));
  __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(7.761603779e-7f), y, _mm256_set1_ps(3.283027734e-4f));
  p = _mm256_fmadd_ps(p, y, _mm256_set1_ps(3.493996731e-3f));
  q = _mm256_fmadd_ps(q, y, _mm256_set1_ps(2.587093449e-2f));
  p = _mm256_fmadd_ps(p, y, _mm256_set1_ps(1.337968781e-1f));
  q = _mm256_fmadd_ps(q, y, _mm256_set1_ps(4.671300313e-1f));
  p = _mm256_fmadd_ps(p, y, _mm256_set1_ps(1.0f));
  q = _mm256_fmadd_ps(q, y, _mm256_set1_ps(1.0f));
  return _mm256_div_ps(_mm256_mul_ps(x, p), q);
}

}  // namespace edgekit
