// The functions of activation.h on 8 floats.
#pragma once

#include "common/activation.h"
#include "common/math_avx2.h"

namespace edgekit {

static inline __m256 hard_swish8(__m256 x) {
  const __m256 gate = clamp8(_mm256_add_ps(x, _mm256_set1_ps(3.0f)), 0.0f, 6.0f);
  return _mm256_mul_ps(x, _mm256_mul_ps(gate, _mm256_set1_ps(1.0f / 6.0f)));
}

// 2.5 eps of max(1, |x|).
static inline __m256 gelu_erf8(__m256 x) {
  const __m256 z = _mm256_mul_ps(x, _mm256_set1_ps(0.707106781f));
  // What erf8 is off from -1 must not be multiplied with a large x.
  const __m256 gives = _mm256_cmp_ps(z, _mm256_set1_ps(-3.92f), _CMP_GT_OQ);
  const __m256 gate = _mm256_and_ps(gives, _mm256_add_ps(_mm256_set1_ps(1.0f), erf8(z)));
  return _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5f), x), gate);
}

static inline __m256 gelu_tanh8(__m256 x) {
  const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
  return _mm256_mul_ps(x, sigmoid8(_mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.595769122f)), cubic)));
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
      return _mm256_mul_ps(x, sigmoid8(x));
    default:
      return x;
  }
}

}  // namespace edgekit
