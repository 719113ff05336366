// 16 floats of a recurrent op in one AVX-512 register.
#pragma once

#include "common/avx512.h"
#include "common/math_avx512.h"

namespace edgekit {

namespace {

struct Lanes512 {
  using Lanes = __m512;
  static Lanes load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Lanes x) { _mm512_storeu_ps(to, x); }
  // The first `count` of 16, the others are zeros and stay unwritten.
  static Lanes load_first(const float* from, int count) { return _mm512_maskz_loadu_ps(lanes(count), from); }
  static void store_first(float* to, int count, Lanes x) { _mm512_mask_storeu_ps(to, lanes(count), x); }

  static Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
  static Lanes sub(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
  static Lanes mul(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
  static Lanes fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
  static Lanes sigmoid(Lanes x) { return sigmoid16(x); }
  static Lanes tanh(Lanes x) { return tanh16(x); }
};

}  // namespace

}  // namespace edgekit
