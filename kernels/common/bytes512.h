// 64 or 32 bytes in a register, four 32-bit sums for them, and the way between the two; for the AVX-512 kernels.
//
// Interleaving works within 16-byte lanes. Interleaved twice, bytes become dwords in four registers: register g holds
// what stood at bytes 4g to 4g + 3 of every lane. Packing twice is the way back, so nothing is ever permuted.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgekit {

struct Bytes64 {
  using Ints = __m512i;
  using Floats = __m512;
  using Mask = __mmask64;
  static constexpr int kBytes = 64;

  static inline Ints load(const void* from) { return _mm512_loadu_si512(from); }
  static inline void store(void* to, Ints a) { _mm512_storeu_si512(to, a); }
  static inline void store(void* to, Mask mask, Ints a) { _mm512_mask_storeu_epi8(to, mask, a); }
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
};

struct Bytes32 {
  using Ints = __m256i;
  using Floats = __m256;
  using Mask = __mmask32;
  static constexpr int kBytes = 32;

  static inline Ints load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static inline void store(void* to, Ints a) { _mm256_storeu_si256(static_cast<__m256i*>(to), a); }
  static inline void store(void* to, Mask mask, Ints a) { _mm256_mask_storeu_epi8(to, mask, a); }
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
};

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
};

// The first `count` bytes of a register; all of them from its width on.
template <class V>
static inline typename V::Mask first_bytes(std::int64_t count) {
  constexpr std::uint64_t all = V::kBytes == 64 ? ~0ull : 0xffffffffull;
  if (count >= V::kBytes) return static_cast<typename V::Mask>(all);
  return static_cast<typename V::Mask>(count <= 0 ? 0 : (1ull << count) - 1);
}

// Stores the first `count` bytes.
template <class V>
static inline void store_first(void* to, std::int64_t count, typename V::Ints a) {
  if (count >= V::kBytes)
    V::store(to, a);
  else
    V::store(to, first_bytes<V>(count), a);
}

}  // namespace edgekit
