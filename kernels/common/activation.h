// Functions that float ops can apply to what they give: their numbers in records, and their plain form.
#pragma once

#include <cmath>

namespace edgekit {

enum Activation : int {
  kNoActivation = 0,
  kRelu = 1,
  kRelu6 = 2,
  kHardSwish = 3,  // x * (clamp(x + 3, 0, 6) / 6)
  kSigmoid = 4,
  kTanh = 5,
  kGeluErf = 6,   // x / 2 * (1 + erf(x / sqrt(2)))
  kGeluTanh = 7,  // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
  kSilu = 8,      // x * sigmoid(x)
};
constexpr int kActivations = 9;

static inline float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// 1 + tanh(y) is 2 * sigmoid(2 * y).
static inline float gelu_tanh(float x) { return x * sigmoid(1.595769122f * (x + 0.044715f * x * x * x)); }

static inline float gelu_erf(float x) { return 0.5f * x * std::erfc(-0.707106781f * x); }

// The scalar rows' form; NaN stays NaN.
static inline float activate(float x, int activation) {
  switch (activation) {
    case kRelu:
      return x < 0 ? 0.0f : x;
    case kRelu6:
      return clamp(x, 0.0f, 6.0f);
    case kHardSwish:
      return x * (clamp(x + 3.0f, 0.0f, 6.0f) / 6.0f);
    case kSigmoid:
      return sigmoid(x);
    case kTanh:
      return std::tanh(x);
    case kGeluErf:
      return gelu_erf(x);
    case kGeluTanh:
      return gelu_tanh(x);
    case kSilu:
      return x * sigmoid(x);
    default:
      return x;
  }
}

}  // namespace edgekit
