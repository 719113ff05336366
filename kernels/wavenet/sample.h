// Draws a code from logits, with the same operations in every row, so that a seed gives the same codes everywhere.
//
// Code i is drawn with probability weight[i] / sum of weights, weight[i] = round(2^21 * e^((logit[i] - max) / T)):
// whole numbers, whose sums are exact in any order. The random number is a function of the seed and of the steps so
// far.
#pragma once

#include <cstdint>
#include <cstring>

#include "wavenet/weights.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
inline std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
  return bits ^ (bits >> 31);
}

inline std::uint32_t random_bits(std::uint64_t seed, std::uint64_t step) {
  const std::uint64_t golden = 0x9e3779b97f4a7c15ull;
  return static_cast<std::uint32_t>(mixed(mixed(seed + golden) + (step + 1) * golden) >> 32);
}

// round(2^21 * 2^t), 0 for what is below -30 or NaN. Without fma: exact in every row and fast in all.
inline std::uint32_t weight_of(float t) {
  t = t > -30.0f ? t : -30.0f;
  const float to_whole = 12582912.0f;
  const float shifted = t + to_whole;
  const float f = t - (shifted - to_whole);
  float p = 0.00132647273f * f + 0.00967151299f;
  p = p * f + 0.0555073358f;
  p = p * f + 0.240222424f;
  p = p * f + 0.693147004f;
  p = (p * f + 1.0f) * 2097152.0f;
  std::uint32_t bits, whole;
  std::memcpy(&bits, &p, 4);
  std::memcpy(&whole, &shifted, 4);
  bits += whole << 23;
  std::memcpy(&p, &bits, 4);
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(p + 0.5f));
}

// The first of the largest logits; `logits` has room for a multiple of 16, which is filled up.
inline int largest(float* logits, int classes, float* value) {
  const int padded = static_cast<int>(round_up(classes, 16));
  for (int i = classes; i < padded; ++i) logits[i] = -__builtin_inff();
  float best[16];
  std::memcpy(best, logits, sizeof best);
  for (int i = 16; i < padded; i += 16)
    for (int lane = 0; lane < 16; ++lane) best[lane] = logits[i + lane] > best[lane] ? logits[i + lane] : best[lane];
  for (int lane = 1; lane < 16; ++lane) best[0] = best[lane] > best[0] ? best[lane] : best[0];
  *value = best[0];
  for (int i = 0; i < classes; ++i)
    if (logits[i] == best[0]) return i;
  return 0;  // NaN
}

inline int sample(float* logits, int classes, float temperature, std::uint64_t seed, std::uint64_t step) {
  float top;
  const int first = largest(logits, classes, &top);
  if (!(temperature > 1e-6f)) return first;
  const int padded = static_cast<int>(round_up(classes, 16));
  const float factor = 1.44269504f / temperature;
  std::uint32_t weights[kMaxClasses];
  std::uint32_t total = 0;
  for (int i = 0; i < padded; ++i) {
    weights[i] = weight_of((logits[i] - top) * factor);
    total += weights[i];
  }
  const auto wanted = static_cast<std::uint32_t>(static_cast<std::uint64_t>(random_bits(seed, step)) * total >> 32);
  std::uint32_t sum = 0;
  for (int i = 0; i < classes; ++i) {
    sum += weights[i];
    if (sum > wanted) return i;
  }
  return first;  // of NaN
}

}  // namespace

}  // namespace edgekit
