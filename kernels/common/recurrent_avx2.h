// The recurrent ops' Machines on AVX2.
#pragma once

#include "common/math_avx2.h"
#include "common/recurrent.h"

namespace edgekit {

namespace {

// The first `count` of 8 lanes.
inline __m256i lanes8(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

struct Avx2Lanes {
  struct Lanes {
    __m256 low, high;
  };

  static Lanes load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static void store(float* to, Lanes x) {
    _mm256_storeu_ps(to, x.low);
    _mm256_storeu_ps(to + 8, x.high);
  }
  // The first `count` of 16, the others are zeros and stay unwritten.
  static Lanes load_first(const float* from, int count) {
    return {_mm256_maskload_ps(from, lanes8(count)), _mm256_maskload_ps(from + 8, lanes8(count - 8))};
  }
  static void store_first(float* to, int count, Lanes x) {
    _mm256_maskstore_ps(to, lanes8(count), x.low);
    _mm256_maskstore_ps(to + 8, lanes8(count - 8), x.high);
  }

  static Lanes add(Lanes a, Lanes b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static Lanes sub(Lanes a, Lanes b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static Lanes mul(Lanes a, Lanes b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static Lanes fma(Lanes a, Lanes b, Lanes c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static Lanes sigmoid(Lanes x) { return {sigmoid8(x.low), sigmoid8(x.high)}; }
  static Lanes tanh(Lanes x) { return {tanh8(x.low), tanh8(x.high)}; }
};

struct Avx2S8 : Avx2Lanes {
  static constexpr WeightType kType = WeightType::s8;
  static constexpr int kTogether = 1;

  static void prepare(const float* values, int count, unsigned char* room) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i largest = _mm256_setzero_si256();  // of bits: they order like the values, with infinity and NaN on top
    for (int i = 0; i < count; i += 8) {
      const __m256i bits = _mm256_castps_si256(_mm256_maskload_ps(values + i, lanes8(count - i)));
      largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
    }
    std::uint32_t each[8], most = 0;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(each), largest);
    for (const std::uint32_t bits : each) most = bits > most ? bits : most;
    const DynamicScale scale = dynamic_scale(most);
    std::memcpy(room, &scale.scale, 4);
    for (int i = 0; i < count; i += 8) {
      const __m256 scaled =
          _mm256_mul_ps(_mm256_maskload_ps(values + i, lanes8(count - i)), _mm256_set1_ps(scale.inverse));
      const __m256i levels = _mm256_add_epi32(_mm256_cvtps_epi32(scaled), _mm256_set1_epi32(kZeroLevel));
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(levels), _mm256_extracti128_si256(levels, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(room + kLevelsAt + i), _mm_packus_epi16(words, words));
    }
  }

  // Four levels less their zero, as s8, eight times over.
  static __m256i four_levels(const unsigned char* levels) {
    std::int32_t four;
    std::memcpy(&four, levels, 4);
    return _mm256_xor_si256(_mm256_set1_epi32(four), _mm256_set1_epi8(static_cast<char>(kZeroLevel)));
  }

  // sum + the dot products of eight units. Moving the weight's sign to the level, which is never -128, keeps every sum
  // of two products within 2 * 127 * 128 < 2^15: nothing saturates.
  static __m256i dot(__m256i sum, __m256i levels, __m256i weights) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(levels, weights));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  template <int FIRST, int COUNT, int GATES>
  __attribute__((always_inline)) static void product(const unsigned char* operand, const GateWeights& gates, int block,
                                                     Lanes (&sums)[COUNT]) {
    const unsigned char* weights =
        gates.packed + block * unit_block_bytes(kType, GATES, gates.inputs) + (GATES + FIRST) * 64;
    __m256i exact[2 * COUNT];
#pragma GCC unroll 8
    for (int i = 0; i < 2 * COUNT; ++i) exact[i] = _mm256_setzero_si256();
    for (int group = 0; group < (gates.inputs + 3) / 4; ++group) {
      const __m256i x = four_levels(operand + kLevelsAt + group * 4);
#pragma GCC unroll 8
      for (int i = 0; i < 2 * COUNT; ++i)
        exact[i] = dot(exact[i], x, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + i * 32)));
      weights += GATES * 64;
    }
    float operand_scale;
    std::memcpy(&operand_scale, operand, 4);
    const __m256 factor = _mm256_set1_ps(operand_scale);
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) {
      const std::int64_t lane = (static_cast<std::int64_t>(block) * GATES + FIRST + i) * kUnits;
      const Lanes sum{_mm256_cvtepi32_ps(exact[2 * i]), _mm256_cvtepi32_ps(exact[2 * i + 1])};
      sums[i] = fma(sum, mul({factor, factor}, load(gates.scale + lane)), load(gates.bias + lane));
    }
  }
};

struct Avx2F32 : Avx2Lanes {
  static constexpr WeightType kType = WeightType::f32;
  static constexpr int kTogether = 1;

  static void prepare(const float* values, int count, unsigned char* room) { std::memcpy(room, values, count * 4LL); }

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
      const __m256 x = _mm256_broadcast_ss(values + k);
#pragma GCC unroll 4
      for (int i = 0; i < COUNT; ++i) sum[i] = fma({x, x}, load(weights + i * kUnits), sum[i]);
      weights += GATES * kUnits;
    }
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i) sums[i] = sum[i];
  }
};

}  // namespace

}  // namespace edgekit
