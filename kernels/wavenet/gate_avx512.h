// gate.h for 16 floats: the same bits.
#pragma once

#include <immintrin.h>

#include "wavenet/gate.h"

namespace edgekit {

namespace {

inline __m512 exp2_of(__m512 t) {
  const __m512 whole = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(t, whole);
  __m512 p = _mm512_set1_ps(kExp2[0]);
  for (int i = 1; i < 5; ++i) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExp2[i]));
  return _mm512_scalef_ps(_mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f)), whole);
}

inline __m512 clamped(__m512 value, float limit) {
  return _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(-limit)), _mm512_set1_ps(limit));
}

inline __m512 gate(__m512 a, __m512 b) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 e = exp2_of(_mm512_mul_ps(clamped(a, kTanhLimit), _mm512_set1_ps(kTanhFactor)));
  const __m512 f = exp2_of(_mm512_mul_ps(clamped(b, kSigmoidLimit), _mm512_set1_ps(kSigmoidFactor)));
  return _mm512_div_ps(_mm512_sub_ps(one, e), _mm512_mul_ps(_mm512_add_ps(one, e), _mm512_add_ps(one, f)));
}

}  // namespace

}  // namespace edgekit
