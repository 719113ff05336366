// The functions of activation.h on 8 floats.
#pragma once

#include "common/activation.h"
#include "common/math_avx2.h"

namespace edgekit {

// x * sigmoid(u); x is held above -1e20, since sigmoid8 does not reach 0.
static inline __m256 gated8(__m256 x, __m256 u) {
  return _mm256_mul_ps(_mm256_max_ps(_mm256_set1_ps(-1e20f), x), sigmoid8(u));
}

static inline __m256 hard_swish8(__m256 x) {
  const __m256 gate = clamp8(_mm256_add_ps(x, _mm256_set1_ps(3.0f)), 0.0f, 6.0f);
  return _mm256_mul_ps(x, _mm256_mul_ps(gate, _mm256_set1_ps(1.0f / 6.0f)));
}

// x * sigmoid(x * R(x^2)), where x * R(x^2) is the logit of the normal distribution's function, minimax for this use.
static inline __m256 gelu_erf8(__m256 x) {
  const __m256 y = _mm256_min_ps(_mm256_set1_ps(28.09f), _mm256_mul_ps(x, x));
  __m256 r = _mm256_fmadd_ps(_mm256_set1_ps(3.480420461e-9f), y, _mm256_set1_ps(-2.615572572e-7f));
  r = _mm256_fmadd_ps(r, y, _mm256_set1_ps(7.859342692e-6f));
  r = _mm256_fmadd_ps(r, y, _mm256_set1_ps(-1.099519234e-4f));
  r = _mm256_fmadd_ps(r, y, _mm256_set1_ps(-6.789614306e-5f));
  r = _mm256_fmadd_ps(r, y, _mm256_set1_ps(7.267067487e-2f));
  r = _mm256_fmadd_ps(r, y, _mm256_set1_ps(1.595767629f));
  return gated8(x, _mm256_mul_ps(x, r));
}

static inline __m256 gelu_tanh8(__m256 x) {
  const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
  return gated8(x, _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.595769122f)), cubic));
}

static inline __m256 activate8(__m256 x, int activation) {
  switch (activation) {
    case kRelu:
      return _mm256_max_ps(_mm256_setzero_ps(), x);  // NaN has to come second to stay
    case kRelu6:
      return clamp8(x, 0.0f, 6.0f);
    case kHardSwish:
      return hard_swish8(x);
    case kSigmoid:
      return sigmoid8(x);
    case kTanh:
      return tanh8(x);
    case kGeluErf:
      return gelu_erf8(x);
    case kGeluTanh:
      return gelu_tanh8(x);
    case kSilu:
      return gated8(x, x);
    default:
      return x;
  }
}

}  // namespace edgekit
