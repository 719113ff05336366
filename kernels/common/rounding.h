// Whole numbers: rounding up to a multiple, and clamps. Static, since files of several instruction sets include it.
#pragma once

#include <cmath>
#include <cstdint>

namespace edgekit {

static inline std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

static inline int smaller(int a, int b) { return a < b ? a : b; }

// clamp(round(value) + zero_point, low, high) with ties to even; what is NaN or beyond 2^30 gives either end.
static inline std::uint8_t requantize(float value, int zero_point, int low, int high) {
  const float limit = 1073741824.0f;  // a conversion of more than an int holds is undefined
  const float inside = value > limit ? limit : value >= -limit ? value : -limit;
  const int level = static_cast<int>(std::nearbyintf(inside)) + zero_point;
  return static_cast<std::uint8_t>(level < low ? low : level > high ? high : level);
}

}  // namespace edgekit
