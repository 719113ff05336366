// The recurrent ops' Machines in plain C++.
#pragma once

#include <cmath>

#include "common/recurrent.h"

namespace edgekit {

namespace {

struct ScalarLanes {
  struct Lanes {
    float at[kUnits];
  };

  template <class Function>
  static Lanes each(const Function& function) {
    Lanes result;
    for (int i = 0; i < kUnits; ++i) result.at[i] = function(i);
    return result;
  }

  static Lanes load(const float* from) { return load_first(from, kUnits); }
  static void store(float* to, const Lanes& x) { store_first(to, kUnits, x); }
  // The first `count` of 16, the others are zeros and stay unwritten.
  static Lanes load_first(const float* from, int count) {
    return each([&](int i) { return i < count ? from[i] : 0.0f; });
  }
  static void store_first(float* to, int count, const Lanes& x) { std::memcpy(to, x.at, smaller(count, kUnits) * 4); }

  static Lanes add(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] + b.at[i]; });
  }
  static Lanes sub(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] - b.at[i]; });
  }
  static Lanes mul(const Lanes& a, const Lanes& b) {
    return each([&](int i) { return a.at[i] * b.at[i]; });
  }
  // Rounded twice: std::fma is slow where the CPU has none.
  static Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
    return each([&](int i) { return a.at[i] * b.at[i] + c.at[i]; });
  }
  static Lanes sigmoid(const Lanes& x) {
    return each([&](int i) { return 1.0f / (1.0f + std::exp(-x.at[i])); });
  }
  static Lanes tanh(const Lanes& x) {
    return each([&](int i) { return std::tanh(x.at[i]); });
  }
};

struct ScalarS8 : ScalarLanes {
  static constexpr WeightType kType = WeightType::s8;
  static constexpr int kTogether = 1;

  static void prepare(const float* values, int count, unsigned char* room) {
    std::uint32_t largest = 0;  // of bits: they order like the values, with infinity and NaN on top
    for (int i = 0; i < count; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, values + i, 4);
      bits &= 0x7fffffffu;
      largest = bits > largest ? bits : largest;
    }
    const DynamicScale scale = dynamic_scale(largest);
    std::memcpy(room, &scale.scale, 4);
    for (int i = 0; i < count; ++i) room[kLevelsAt + i] = requantize(values[i] * scale.inverse, kZeroLevel, 0, 255);
  }

  template <int FIRST, int COUNT, int GATES>
  static void product(const unsigned char* operand, const GateWeights& gates, int block, Lanes (&sums)[COUNT]) {
    const unsigned char* packed = gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs);
    const auto* weights = reinterpret_cast<const signed char*>(packed + GATES * kUnits * 4);
    float operand_scale;
    std::memcpy(&operand_scale, operand, 4);
    for (int i = 0; i < COUNT; ++i) {
      std::int32_t exact[kUnits] = {};
      for (int k = 0; k < gates.inputs; k += 4)  // what is filled up has zero weights
        for (int unit = 0; unit < kUnits; ++unit)
          for (int j = 0; j < 4; ++j)
            exact[unit] += (operand[kLevelsAt + k + j] - kZeroLevel) *
                           weights[(k * GATES + (FIRST + i) * 4) * kUnits + unit * 4 + j];
      const std::int64_t lane = (static_cast<std::int64_t>(block) * GATES + FIRST + i) * kUnits;
      sums[i] = each([&](int unit) {
        const float scale = operand_scale * gates.scale[lane + unit];
        return static_cast<float>(exact[unit]) * scale + gates.bias[lane + unit];
      });
    }
  }
};

struct ScalarF32 : ScalarLanes {
  static constexpr WeightType kType = WeightType::f32;
  static constexpr int kTogether = 1;

  static void prepare(const float* values, int count, unsigned char* room) { std::memcpy(room, values, count * 4LL); }

  template <int FIRST, int COUNT, int GATES>
  static void product(const unsigned char* operand, const GateWeights& gates, int block, Lanes (&sums)[COUNT]) {
    const auto* values = reinterpret_cast<const float*>(operand);
    const auto* weights =
        reinterpret_cast<const float*>(gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs));
    for (int i = 0; i < COUNT; ++i) {
      sums[i] = load(gates.bias + (static_cast<std::int64_t>(block) * GATES + FIRST + i) * kUnits);
      for (int k = 0; k < gates.inputs; ++k)
        for (int unit = 0; unit < kUnits; ++unit)
          sums[i].at[unit] += values[k] * weights[(k * GATES + FIRST + i) * kUnits + unit];
    }
  }
};

}  // namespace

}  // namespace edgekit
