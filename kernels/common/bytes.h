// 64 or 32 bytes in a register, four 32-bit sums for them, and the way between the two; for AVX-512 and AVX2 kernels.
//
// Interleaving works within 16-byte lanes. Interleaved twice, bytes become dwords in four registers: register g holds
// what stood at bytes 4g to 4g + 3 of every lane. Packing twice is the way back, so nothing is ever permuted.
//
// In an unnamed namespace: what a file of one instruction set compiles must not serve another file.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace edgekit {

namespace {

// Keeps a load from being repeated as the operand of each of its uses: one of 64 bytes takes a cycle, or two.
template <class T>
inline T once(T loaded) {
  asm("" : "+v"(loaded));
  return loaded;
}

struct Bytes32 {
  using Ints = __m256i;
  using Floats = __m256;
  static constexpr int kBytes = 32;

  static inline Ints load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static inline void store(void* to, Ints a) { _mm256_storeu_si256(static_cast<__m256i*>(to), a); }
  // Stores the first `count` bytes, all of them from 32 on.
  static inline void store(void* to, std::int64_t count, Ints a) {
    if (count >= 32) return store(to, a);
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    _mm256_mask_storeu_epi8(to, count <= 0 ? 0 : (1u << count) - 1, a);
#else
    unsigned char held[32];
    store(held, a);
    unsigned char* bytes = static_cast<unsigned char*>(to);
    for (int part = 16, done = 0; part > 0; part /= 2)
      if (count & part) {
        for (int i = 0; i < part; ++i) bytes[done + i] = held[done + i];
        done += part;
      }
#endif
  }
  static inline Ints all8(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static inline Ints all16(int value) { return _mm256_set1_epi16(static_cast<short>(value)); }
  static inline Ints low8(Ints a, Ints b) { return _mm256_unpacklo_epi8(a, b); }
  static inline Ints high8(Ints a, Ints b) { return _mm256_unpackhi_epi8(a, b); }
  static inline Ints low16(Ints a, Ints b) { return _mm256_unpacklo_epi16(a, b); }
  static inline Ints high16(Ints a, Ints b) { return _mm256_unpackhi_epi16(a, b); }
  static inline Ints pack32(Ints a, Ints b) { return _mm256_packs_epi32(a, b); }
  static inline Ints pack16(Ints a, Ints b) { return _mm256_packus_epi16(a, b); }
  static inline Ints add16(Ints a, Ints b) { return _mm256_adds_epi16(a, b); }
  static inline Ints clamp8(Ints a, Ints low, Ints high) { return _mm256_min_epu8(_mm256_max_epu8(a, low), high); }
  static inline Floats to_float(Ints a) { return _mm256_cvtepi32_ps(a); }
  static inline Ints round(Floats a) { return _mm256_cvtps_epi32(a); }
  static inline Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static inline Floats as_float(Ints a) { return _mm256_castsi256_ps(a); }
  static inline Ints lanes(const unsigned char* from, const std::int64_t* offsets) {
    const __m256i a = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[0])));
    return _mm256_inserti128_si256(a, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[1])), 1);
  }
  static inline Ints zero() { return _mm256_setzero_si256(); }
  static inline Ints all32(int value) { return _mm256_set1_epi32(value); }
  static inline Floats all(float value) { return _mm256_set1_ps(value); }
  static inline Ints plus16(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
  static inline Ints minus16(Ints a, Ints b) { return _mm256_sub_epi16(a, b); }
  static inline Ints left8(Ints a) { return _mm256_slli_epi16(a, 8); }
  static inline Ints right8(Ints a) { return _mm256_srli_epi16(a, 8); }
  static inline Ints plus32(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static inline Ints max8(Ints a, Ints b) { return _mm256_max_epu8(a, b); }
  static inline Floats minus(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
};

#if defined(__AVX512BW__)

struct Bytes64 {
  using Ints = __m512i;
  using Floats = __m512;
  static constexpr int kBytes = 64;

  static inline Ints load(const void* from) { return _mm512_loadu_si512(from); }
  static inline void store(void* to, Ints a) { _mm512_storeu_si512(to, a); }
  // The first `count` bytes of 64, all of them from 64 on.
  static inline __mmask64 first(std::int64_t count) {
    return count >= 64 ? ~0ull : count <= 0 ? 0 : (1ull << count) - 1;
  }
  static inline void store(void* to, std::int64_t count, Ints a) {
    if (count >= 64)
      store(to, a);
    else
      _mm512_mask_storeu_epi8(to, first(count), a);
  }
  static inline Ints all8(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static inline Ints all16(int value) { return _mm512_set1_epi16(static_cast<short>(value)); }
  static inline Ints low8(Ints a, Ints b) { return _mm512_unpacklo_epi8(a, b); }
  static inline Ints high8(Ints a, Ints b) { return _mm512_unpackhi_epi8(a, b); }
  static inline Ints low16(Ints a, Ints b) { return _mm512_unpacklo_epi16(a, b); }
  static inline Ints high16(Ints a, Ints b) { return _mm512_unpackhi_epi16(a, b); }
  static inline Ints pack32(Ints a, Ints b) { return _mm512_packs_epi32(a, b); }
  static inline Ints pack16(Ints a, Ints b) { return _mm512_packus_epi16(a, b); }
  static inline Ints add16(Ints a, Ints b) { return _mm512_adds_epi16(a, b); }
  static inline Ints clamp8(Ints a, Ints low, Ints high) { return _mm512_min_epu8(_mm512_max_epu8(a, low), high); }
  static inline Floats to_float(Ints a) { return _mm512_cvtepi32_ps(a); }
  static inline Ints round(Floats a) { return _mm512_cvtps_epi32(a); }
  static inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static inline Floats as_float(Ints a) { return _mm512_castsi512_ps(a); }
  // The 16 bytes at each of four offsets, one for each lane.
  static inline Ints lanes(const unsigned char* from, const std::int64_t* offsets) {
    __m512i a = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[0])));
    a = _mm512_inserti32x4(a, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[1])), 1);
    a = _mm512_inserti32x4(a, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[2])), 2);
    return _mm512_inserti32x4(a, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + offsets[3])), 3);
  }
  static inline Ints zero() { return _mm512_setzero_si512(); }
  static inline Ints all32(int value) { return _mm512_set1_epi32(value); }
  static inline Floats all(float value) { return _mm512_set1_ps(value); }
  static inline Ints plus16(Ints a, Ints b) { return _mm512_add_epi16(a, b); }
  static inline Ints minus16(Ints a, Ints b) { return _mm512_sub_epi16(a, b); }
  static inline Ints left8(Ints a) { return _mm512_slli_epi16(a, 8); }
  static inline Ints right8(Ints a) { return _mm512_srli_epi16(a, 8); }
  static inline Ints plus32(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static inline Ints max8(Ints a, Ints b) { return _mm512_max_epu8(a, b); }
  static inline Floats minus(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
};

#endif

// Where levels lie: q = clamp(round(value) + zero_point, low, high), ties to even.
template <class V>
struct Levels {
  typename V::Ints zero_point, low, high;

  Levels(int zero_point_, int low_, int high_)
      : zero_point(V::all16(zero_point_)), low(V::all8(low_)), high(V::all8(high_)) {}

  // Levels of values that were interleaved twice. Sums saturate at 16 bits, which the clamp cannot tell apart.
  inline typename V::Ints of(typename V::Floats a, typename V::Floats b, typename V::Floats c,
                             typename V::Floats d) const {
    const typename V::Ints first = V::add16(V::pack32(V::round(a), V::round(b)), zero_point);
    const typename V::Ints second = V::add16(V::pack32(V::round(c), V::round(d)), zero_point);
    return V::clamp8(V::pack16(first, second), low, high);
  }
  inline typename V::Ints of_scaled(const typename V::Ints* sums, typename V::Floats scale) const {
    return of(V::times(V::to_float(sums[0]), scale), V::times(V::to_float(sums[1]), scale),
              V::times(V::to_float(sums[2]), scale), V::times(V::to_float(sums[3]), scale));
  }
};

}  // namespace

}  // namespace edgekit
