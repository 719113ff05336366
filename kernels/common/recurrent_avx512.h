// The recurrent ops' Machine for f32 weights on AVX-512.
#pragma once

#include "common/lanes_avx512.h"
#include "common/recurrent.h"

namespace edgekit {

namespace {

struct Avx512F32 : Lanes512 {
  static constexpr WeightType kType = WeightType::f32;
  static constexpr int kTogether = 4;

  static void prepare(const float* values, int count, unsigned char* room) { std::memcpy(room, values, count * 4LL); }

  // One sum for each gate, in the order of `products`: a sequence then gives the bits of its steps.
  template <int FIRST, int COUNT, int GATES>
  __attribute__((always_inline)) static void product(const unsigned char* operand, const GateWeights& gates, int block,
                                                     Lanes (&sums)[COUNT]) {
    const auto* values = reinterpret_cast<const float*>(operand);
    const auto* weights =
        reinterpret_cast<const float*>(gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs)) +
        FIRST * kUnits;
    Lanes sum[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
      sum[i] = load(gates.bias + (static_cast<std::int64_t>(block) * GATES + FIRST + i) * kUnits);
    for (int k = 0; k < gates.inputs; ++k) {
      const __m512 x = _mm512_set1_ps(values[k]);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) sum[i] = fma(x, load(weights + i * kUnits), sum[i]);
      weights += GATES * kUnits;
    }
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) sums[i] = sum[i];
  }

  template <int GATES>
  __attribute__((always_inline)) static void products(const unsigned char* const (&operands)[kTogether],
                                                      const GateWeights& gates, int block,
                                                      Lanes (&sums)[kTogether][GATES]) {
    const auto* weights =
        reinterpret_cast<const float*>(gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs));
    Lanes sum[kTogether][GATES];
#pragma GCC unroll 4
    for (int row = 0; row < kTogether; ++row)
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i)
        sum[row][i] = load(gates.bias + (static_cast<std::int64_t>(block) * GATES + i) * kUnits);
    for (int k = 0; k < gates.inputs; ++k) {
      Lanes w[GATES];
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i) w[i] = load(weights + i * kUnits);
#pragma GCC unroll 4
      for (int row = 0; row < kTogether; ++row) {
        const __m512 x = _mm512_set1_ps(reinterpret_cast<const float*>(operands[row])[k]);
#pragma GCC unroll 4
        for (int i = 0; i < GATES; ++i) sum[row][i] = fma(x, w[i], sum[row][i]);
      }
      weights += GATES * kUnits;
    }
#pragma GCC unroll 4
    for (int row = 0; row < kTogether; ++row)
#pragma GCC unroll 4
      for (int i = 0; i < GATES; ++i) sums[row][i] = sum[row][i];
  }
};

}  // namespace

}  // namespace edgekit
