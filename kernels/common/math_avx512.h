// exp, sigmoid and tanh of 16 floats, for AVX-512 kernels: branch-free, no tables.
//
// Errors are the largest over every float, in eps = 2^-23 of the result or, where stated, absolute. NaN stays NaN.
#pragma once

#include <immintrin.h>

namespace edgekit {

// 1 / x to about 1 ulp, for 2^-126 <= |x| < 2^126.
static inline __m512 reciprocal16(__m512 x) {
  const __m512 estimate = _mm512_rcp14_ps(x);  // 14 bits; a Newton step doubles them
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0f)), estimate, estimate);
}

// x clamped to low..high. The order of operands matters: min and max give their second one where either is NaN.
static inline __m512 clamp16(__m512 x, float low, float high) {
  return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), x));
}

// e^r for |r| <= ln(2) / 2: minimax of degree 5 with its first two terms held at 1, relative error 1e-7.
static inline __m512 exp_fraction16(__m512 r) {
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(8.312477358e-3f), r, _mm512_set1_ps(4.189009735e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.666711482e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.999923192e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
}

// e^x: 2^n * e^r with n = round(x / ln(2)). Over- and underflows to inf and 0 as expf does. 1.5 eps.
static inline __m512 exp16(__m512 x) {
  x = clamp16(x, -105.0f, 89.0f);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);  // ln(2) in two parts: n times the first is exact
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  return _mm512_scalef_ps(exp_fraction16(r), n);
}

// 1 / (1 + e^-x). Below -87 it stays at 1.6e-38. 0.8 eps, absolute.
static inline __m512 sigmoid16(__m512 x) {
  x = clamp16(x, -87.0f, 30.0f);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  const __m512 r = _mm512_fnmsub_ps(n, _mm512_set1_ps(0.693147182f), x);  // |n| is small enough for one part of ln(2)
  const __m512 e = _mm512_scalef_ps(exp_fraction16(r), n);
  return reciprocal16(_mm512_add_ps(e, _mm512_set1_ps(1.0f)));
}

// tanh(x) = x * P(x^2) / Q(x^2), minimax on |x| <= 9.02, beyond which it is 1. 2.6 eps: it may come out above 1.
static inline __m512 tanh16(__m512 x) {
  x = clamp16(x, -9.0f, 9.0f);
  const __m512 y = _mm512_mul_ps(x, x);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.331800687e-8f), y, _mm512_set1_ps(2.058278762e-5f));
  __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(7.761603779e-7f), y, _mm512_set1_ps(3.283027734e-4f));
  p = _mm512_fmadd_ps(p, y, _mm512_set1_ps(3.493996731e-3f));
  q = _mm512_fmadd_ps(q, y, _mm512_set1_ps(2.587093449e-2f));
  p = _mm512_fmadd_ps(p, y, _mm512_set1_ps(1.337968781e-1f));
  q = _mm512_fmadd_ps(q, y, _mm512_set1_ps(4.671300313e-1f));
  p = _mm512_fmadd_ps(p, y, _mm512_set1_ps(1.0f));
  q = _mm512_fmadd_ps(q, y, _mm512_set1_ps(1.0f));
  return _mm512_mul_ps(_mm512_mul_ps(x, p), reciprocal16(q));
}

}  // namespace edgekit
