// The recurrent ops' Machine for f32 weights on AVX-512.
#pragma once

#include "common/lanes_avx512.h"
#include "common/recurrent.h"

namespace edgekit {

namespace {

struct Avx512F32 : Lanes512 {
  static constexpr WeightType kType = WeightType::f32;

  static void prepare(const float* values, int count, unsigned char* room) { std::memcpy(room, values, count * 4LL); }

  // Two sums for each gate hide the latency of the multiply-add.
  template <int FIRST, int COUNT, int GATES>
  __attribute__((always_inline)) static void product(const unsigned char* operand, const GateWeights& gates, int block,
                                                     Lanes (&sums)[COUNT]) {
    const auto* values = reinterpret_cast<const float*>(operand);
    const auto* weights =
        reinterpret_cast<const float*>(gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs)) +
        FIRST * kUnits;
    Lanes even[COUNT], odd[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
      even[i] = load(gates.bias + (static_cast<std::int64_t>(block) * GATES + FIRST + i) * kUnits);
      odd[i] = _mm512_setzero_ps();
    }
    int left = gates.inputs;
    for (; left >= 2; left -= 2) {
      const __m512 x0 = _mm512_set1_ps(values[0]), x1 = _mm512_set1_ps(values[1]);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) even[i] = fma(x0, load(weights + i * kUnits), even[i]);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) odd[i] = fma(x1, load(weights + (GATES + i) * kUnits), odd[i]);
      weights += 2 * GATES * kUnits;
      values += 2;
    }
    if (left) {
      const __m512 x = _mm512_set1_ps(values[0]);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) even[i] = fma(x, load(weights + i * kUnits), even[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) sums[i] = add(even[i], odd[i]);
  }
};

}  // namespace

}  // namespace edgekit
