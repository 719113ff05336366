// The functions of activation.h on 16 floats.
#pragma once

#include "common/activation.h"
#include "common/math_avx512.h"

namespace edgekit {

static inline __m512 hard_swish16(__m512 x) {
  const __m512 gate = clamp16(_mm512_add_ps(x, _mm512_set1_ps(3.0f)), 0.0f, 6.0f);
  return _mm512_mul_ps(x, _mm512_mul_ps(gate, _mm512_set1_ps(1.0f / 6.0f)));
}

// 2.5 eps of max(1, |x|).
static inline __m512 gelu_erf16(__m512 x) {
  const __m512 z = _mm512_mul_ps(x, _mm512_set1_ps(0.707106781f));
  // What erf16 is off from -1 must not be multiplied with a large x.
  const __mmask16 gives = _mm512_cmp_ps_mask(z, _mm512_set1_ps(-3.92f), _CMP_GT_OQ);
  const __m512 gate = _mm512_maskz_add_ps(gives, _mm512_set1_ps(1.0f), erf16(z));
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), x), gate);
}

static inline __m512 gelu_tanh16(__m512 x) {
  const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1.0f));
  return _mm512_mul_ps(x, sigmoid16(_mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.595769122f)), cubic)));
}

static inline __m512 activate16(__m512 x, int activation) {
  switch (activation) {
    case kRelu:
      return _mm512_max_ps(_mm512_setzero_ps(), x);  // NaN has to come second to stay
    case kRelu6:
      return clamp16(x, 0.0f, 6.0f);
    case kHardSwish:
      return hard_swish16(x);
    case kSigmoid:
      return sigmoid16(x);
    case kTanh:
      return tanh16(x);
    case kGeluErf:
      return gelu_erf16(x);
    case kGeluTanh:
      return gelu_tanh16(x);
    case kSilu:
      return _mm512_mul_ps(x, sigmoid16(x));
    default:
      return x;
  }
}

}  // namespace edgekit
