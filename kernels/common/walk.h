// How quantize_u8 and dequantize_u8 walk over an image: f32 at any strides on one side, u8 NHWC on the other.
#pragma once

#include <cstdint>

#include "common/checker.h"

namespace edgekit {

// Counts, and strides in bytes.
struct Walk {
  std::int64_t rows, columns, channels;
  std::int64_t f32_row, f32_column, f32_channel;
  std::int64_t u8_row, u8_column;
};

// Whether it goes between planes of floats and pixels of three bytes.
static inline bool is_planar3(const Walk& walk) {
  return walk.channels == 3 && walk.f32_column == 4 && walk.u8_column == 3;
}

// Channels of neighbouring columns that follow each other on both sides become one run of channels.
static inline bool join_columns(Walk& walk) {
  const bool joins = walk.f32_column == walk.channels * walk.f32_channel && walk.u8_column == walk.channels;
  if (walk.columns > 1 && !joins) return false;
  walk.channels *= walk.columns;
  walk.columns = 1;
  return true;
}

// The same walk in as few dimensions as it takes: a contiguous vector has one row of one column.
static inline Walk merged(Walk walk) {
  if (walk.channels == 1) walk.f32_channel = walk.f32_column;
  if (join_columns(walk)) {
    walk.columns = walk.rows;
    walk.f32_column = walk.f32_row;
    walk.u8_column = walk.u8_row;
    walk.rows = 1;
    join_columns(walk);
  } else if (walk.f32_row == walk.columns * walk.f32_column && walk.u8_row == walk.columns * walk.u8_column) {
    walk.columns *= walk.rows;
    walk.rows = 1;
  }
  return walk;
}

inline void check_walk(const Walk& walk, const Checker& checker) {
  checker.in_range(walk.rows, 1, kMaxCount, "rows");
  checker.in_range(walk.columns, 1, kMaxCount, "columns");
  checker.in_range(walk.channels, 1, kMaxCount, "channels");
  checker.in_range(walk.f32_row, 0, kMaxStride, "row stride of the floats");
  checker.in_range(walk.f32_column, 0, kMaxStride, "column stride of the floats");
  checker.in_range(walk.f32_channel, 0, kMaxStride, "channel stride of the floats");
  checker.in_range(walk.u8_row, 0, kMaxStride, "row stride of the levels");
  checker.in_range(walk.u8_column, 0, kMaxStride, "column stride of the levels");
  checker.require((walk.f32_row | walk.f32_column | walk.f32_channel) % 4 == 0, "strides of floats in whole floats");
}

// Bytes from the first to the last value of either side; the walk was checked.
inline std::uint64_t f32_extent(const Walk& walk) {
  return static_cast<std::uint64_t>((walk.rows - 1) * walk.f32_row + (walk.columns - 1) * walk.f32_column +
                                    (walk.channels - 1) * walk.f32_channel + 4);
}

inline std::uint64_t u8_extent(const Walk& walk) {
  return static_cast<std::uint64_t>((walk.rows - 1) * walk.u8_row + (walk.columns - 1) * walk.u8_column +
                                    walk.channels);
}

}  // namespace edgekit
