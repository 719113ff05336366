// The recurrent ops' Machine for s8 weights on AVX-512 VNNI.
#pragma once

#include "common/lanes_avx512.h"
#include "common/recurrent.h"

namespace edgekit {

namespace {

struct Vnni : Lanes512 {
  static constexpr WeightType kType = WeightType::s8;
  static constexpr int kTogether = 4;

  static void prepare(const float* values, int count, unsigned char* room) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i largest = _mm512_setzero_si512();  // of bits: they order like the values, with infinity and NaN on top
    for (int i = 0; i < count; i += 16) {
      const __m512i bits = _mm512_maskz_loadu_epi32(lanes(count - i), values + i);
      largest = _mm512_max_epu32(largest, _mm512_and_si512(bits, magnitude));
    }
    const DynamicScale scale = dynamic_scale(_mm512_reduce_max_epu32(largest));
    std::memcpy(room, &scale.scale, 4);
    const __m512 inverse = _mm512_set1_ps(scale.inverse);
    const __m512i zero = _mm512_set1_epi32(kZeroLevel);
    for (int i = 0; i < count; i += 16) {
      const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(count - i), values + i), inverse);
      const __m512i levels = _mm512_add_epi32(_mm512_cvtps_epi32(scaled), zero);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(room + kLevelsAt + i), _mm512_cvtepi32_epi8(levels));
    }
  }

  static __m512i four_levels(const unsigned char* levels) {
    std::int32_t four;
    std::memcpy(&four, levels, 4);
    return _mm512_set1_epi32(four);
  }

  // An exact sum as a float, times both scales, plus the bias. vector: which 16 of the outputs it is for.
  static Lanes scaled(__m512i sum, const unsigned char* operand, const GateWeights& gates, int vector) {
    float operand_scale;
    std::memcpy(&operand_scale, operand, 4);
    const Lanes scale = mul(_mm512_set1_ps(operand_scale), load(gates.scale + vector * kUnits));
    return fma(_mm512_cvtepi32_ps(sum), scale, load(gates.bias + vector * kUnits));
  }

  // Two sums for each gate hide the latency of the dot product.
  template <int FIRST, int COUNT, int GATES>
  __attribute__((always_inline)) static void product(const unsigned char* operand, const GateWeights& gates, int block,
                                                     Lanes (&sums)[COUNT]) {
    const unsigned char* start = gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs);
    __m512i even[COUNT], odd[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
      even[i] = _mm512_loadu_si512(start + (FIRST + i) * 64);
      odd[i] = _mm512_setzero_si512();
    }
    const unsigned char* weights = start + (GATES + FIRST) * 64;
    const unsigned char* levels = operand + kLevelsAt;
    int left = (gates.inputs + 3) / 4;
    for (; left >= 2; left -= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < 2 * COUNT; ++i)
        _mm_prefetch(reinterpret_cast<const char*>(weights + 1024 + i * 64), _MM_HINT_T0);
      const __m512i x0 = four_levels(levels), x1 = four_levels(levels + 4);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) even[i] = _mm512_dpbusd_epi32(even[i], x0, _mm512_loadu_si512(weights + i * 64));
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i)
        odd[i] = _mm512_dpbusd_epi32(odd[i], x1, _mm512_loadu_si512(weights + (GATES + i) * 64));
      weights += 2 * GATES * 64;
      levels += 8;
    }
    if (left) {
      const __m512i x = four_levels(levels);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) even[i] = _mm512_dpbusd_epi32(even[i], x, _mm512_loadu_si512(weights + i * 64));
    }
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
      sums[i] = scaled(_mm512_add_epi32(even[i], odd[i]), operand, gates, block * GATES + FIRST + i);
  }

  template <int GATES>
  __attribute__((always_inline)) static void products(const unsigned char* const (&operands)[kTogether],
                                                      const GateWeights& gates, int block,
                                                      Lanes (&sums)[kTogether][GATES]) {
    const unsigned char* weights = gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs);
    __m512i exact[kTogether][GATES];
#pragma GCC unroll 4
    for (int row = 0; row < kTogether; ++row)
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i) exact[row][i] = _mm512_loadu_si512(weights + i * 64);
    for (int k = 0; k < gates.inputs; k += 4) {
      weights += GATES * 64;
      __m512i w[GATES];
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i) w[i] = _mm512_loadu_si512(weights + i * 64);
#pragma GCC unroll 4
      for (int row = 0; row < kTogether; ++row) {
        const __m512i x = four_levels(operands[row] + kLevelsAt + k);
#pragma GCC unroll 4
        for (int i = 0; i < GATES; ++i) exact[row][i] = _mm512_dpbusd_epi32(exact[row][i], x, w[i]);
      }
    }
#pragma GCC unroll 4
    for (int row = 0; row < kTogether; ++row)
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i) sums[row][i] = scaled(exact[row][i], operands[row], gates, block * GATES + i);
  }
};

}  // namespace

}  // namespace edgekit
