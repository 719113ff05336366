// The functions of activation.h on 16 floats.
#pragma once

#include "common/activation.h"
#include "common/math_avx512.h"

namespace edgekit {

// x * sigmoid(u); x is held above -1e20, since sigmoid16 does not reach 0.
static inline __m512 gated16(__m512 x, __m512 u) {
  return _mm512_mul_ps(_mm512_max_ps(_mm512_set1_ps(-1e20f), x), sigmoid16(u));
}

static inline __m512 hard_swish16(__m512 x) {
  const __m512 gate = clamp16(_mm512_add_ps(x, _mm512_set1_ps(3.0f)), 0.0f, 6.0f);
  return _mm512_mul_ps(x, _mm512_mul_ps(gate, _mm512_set1_ps(1.0f / 6.0f)));
}

// x * sigmoid(x * R(x^2)), where x * R(x^2) is the logit of the normal distribution's function, minimax for this use.
static inline __m512 gelu_erf16(__m512 x) {
  const __m512 y = _mm512_min_ps(_mm512_set1_ps(28.09f), _mm512_mul_ps(x, x));
  __m512 r = _mm512_fmadd_ps(_mm512_set1_ps(3.480420461e-9f), y, _mm512_set1_ps(-2.615572572e-7f));
  r = _mm512_fmadd_ps(r, y, _mm512_set1_ps(7.859342692e-6f));
  r = _mm512_fmadd_ps(r, y, _mm512_set1_ps(-1.099519234e-4f));
  r = _mm512_fmadd_ps(r, y, _mm512_set1_ps(-6.789614306e-5f));
  r = _mm512_fmadd_ps(r, y, _mm512_set1_ps(7.267067487e-2f));
  r = _mm512_fmadd_ps(r, y, _mm512_set1_ps(1.595767629f));
  return gated16(x, _mm512_mul_ps(x, r));
}

static inline __m512 gelu_tanh16(__m512 x) {
  const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1.0f));
  return gated16(x, _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.595769122f)), cubic));
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
      return gated16(x, x);
    default:
      return x;
  }
}

}  // namespace edgekit
