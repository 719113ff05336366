// tanh(a) * sigmoid(b), and 2^t, as every row computes them: the same operations in the same order, so the same bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

// 2^f for |f| <= 1/2: minimax with the first term held at 1, relative error 9e-8.
constexpr float kExp2[5] = {0.00132647273f, 0.00967151299f, 0.0555073358f, 0.240222424f, 0.693147004f};
constexpr float kToWhole = 12582912.0f;  // 1.5 * 2^23: a float this large has no fraction, and ends in whole bits

// Beyond these limits tanh is 1, and sigmoid next to 0; the product of both denominators stays finite.
constexpr float kTanhLimit = 10.0f, kSigmoidLimit = 40.0f;
constexpr float kTanhFactor = -2.88539008f, kSigmoidFactor = -1.44269504f;  // -2 / ln(2), -1 / ln(2)

// 2^t for |t| < 126.
inline float exp2_of(float t) {
  const float shifted = t + kToWhole;
  const float f = t - (shifted - kToWhole);
  float p = kExp2[0];
  for (int i = 1; i < 5; ++i) p = __builtin_fmaf(p, f, kExp2[i]);
  p = __builtin_fmaf(p, f, 1.0f);
  std::uint32_t bits, whole;
  std::memcpy(&bits, &p, 4);
  std::memcpy(&whole, &shifted, 4);
  bits += whole << 23;
  std::memcpy(&p, &bits, 4);
  return p;
}

inline float clamped(float value, float limit) { return value < -limit ? -limit : value > limit ? limit : value; }

// (1 - e^-2a) / ((1 + e^-2a) (1 + e^-b)): one division for both. Off by at most 3e-7.
inline float gate(float a, float b) {
  const float e = exp2_of(clamped(a, kTanhLimit) * kTanhFactor);
  const float f = exp2_of(clamped(b, kSigmoidLimit) * kSigmoidFactor);
  return (1.0f - e) / ((1.0f + e) * (1.0f + f));
}

}  // namespace

}  // namespace edgekit
