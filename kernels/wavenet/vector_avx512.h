// 16 floats of AVX-512 under the names that rows_float.h and rows_i8.h use.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "wavenet/gate.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

struct Avx512 {
  using Floats = __m512;
  static constexpr int kFloats = 16;

  static Floats all(float value) { return _mm512_set1_ps(value); }
  static Floats load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Floats value) { _mm512_storeu_ps(to, value); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats abs(Floats a) { return _mm512_abs_ps(a); }
  static float max_of(Floats a) { return _mm512_reduce_max_ps(a); }

  // 16 weights from `from` on, and those 16 outputs further.
  static void load_pair(const float* from, Floats* first, Floats* second) {
    *first = load(from);
    *second = load(from + 16);
  }
  static void load_pair(const std::uint16_t* from, Floats* first, Floats* second) {
    const __m512i both = _mm512_loadu_si512(from);
    *first = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    *second = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(-65536)));
  }

  // gate.h: the same bits.
  static Floats gate(Floats a, Floats b) {
    const Floats one = all(1.0f);
    const Floats e = exp2(mul(clamped(a, kTanhLimit), all(kTanhFactor)));
    const Floats f = exp2(mul(clamped(b, kSigmoidLimit), all(kSigmoidFactor)));
    return _mm512_div_ps(_mm512_sub_ps(one, e), mul(add(one, e), add(one, f)));
  }

 private:
  static Floats clamped(Floats value, float limit) { return _mm512_min_ps(max(value, all(-limit)), all(limit)); }
  static Floats exp2(Floats t) {
    const Floats whole = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats f = _mm512_sub_ps(t, whole);
    Floats p = all(kExp2[0]);
    for (int i = 1; i < 5; ++i) p = fma(p, f, all(kExp2[i]));
    return _mm512_scalef_ps(fma(p, f, all(1.0f)), whole);
  }
};

}  // namespace

}  // namespace edgekit
