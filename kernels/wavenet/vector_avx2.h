// 8 floats of AVX2 under the names that rows_float.h and rows_i8.h use.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "wavenet/gate.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

struct Avx2 {
  using Floats = __m256;
  static constexpr int kFloats = 8;

  static Floats all(float value) { return _mm256_set1_ps(value); }
  static Floats load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Floats value) { _mm256_storeu_ps(to, value); }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats abs(Floats a) { return _mm256_andnot_ps(all(-0.0f), a); }
  static float max_of(Floats a) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
  }

  // 8 weights from `from` on, and those 16 outputs further.
  static void load_pair(const float* from, Floats* first, Floats* second) {
    *first = load(from);
    *second = load(from + 16);
  }
  static void load_pair(const std::uint16_t* from, Floats* first, Floats* second) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    *first = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    *second = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-65536)));
  }

  // gate.h: the same bits.
  static Floats gate(Floats a, Floats b) {
    const Floats one = all(1.0f);
    const Floats e = exp2(mul(clamped(a, kTanhLimit), all(kTanhFactor)));
    const Floats f = exp2(mul(clamped(b, kSigmoidLimit), all(kSigmoidFactor)));
    return _mm256_div_ps(_mm256_sub_ps(one, e), mul(add(one, e), add(one, f)));
  }

 private:
  static Floats clamped(Floats value, float limit) { return _mm256_min_ps(max(value, all(-limit)), all(limit)); }
  static Floats exp2(Floats t) {
    const Floats whole = _mm256_round_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats f = _mm256_sub_ps(t, whole);
    Floats p = all(kExp2[0]);
    for (int i = 1; i < 5; ++i) p = fma(p, f, all(kExp2[i]));
    const __m256i bits = _mm256_castps_si256(fma(p, f, all(1.0f)));
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23)));
  }
};

}  // namespace

}  // namespace edgekit
