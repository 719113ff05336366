// Packed int8 weights, one layout for every row: blocks of 64 outputs, each [inputs / 4][outputs of the block][4].
//
// The last block is as wide as what is left, filled up with zeros to a multiple of 16. Four inputs of one output lie
// side by side, which is what the dot products of AVX-512 VNNI and of NEON take.
#pragma once

#include <cstdint>

#include "common/rounding.h"

namespace edgekit {

constexpr int kBlockOutputs = 64;
constexpr int kLaneOutputs = 16;

// Bytes of packed weights of so many outputs, each of `inputs` values in groups of 4.
static inline std::int64_t packed_bytes(std::int64_t outputs, std::int64_t inputs) {
  return round_up(outputs, kLaneOutputs) * round_up(inputs, 4);
}

// Where block `first / 64` begins, for the first output of a block.
static inline std::int64_t packed_block(std::int64_t first, std::int64_t inputs) { return first * round_up(inputs, 4); }

// How many outputs wide the block of output `first` is, zeros counted.
static inline int block_width(int outputs, int first) {
  const int left = static_cast<int>(round_up(outputs, kLaneOutputs)) - first;
  return left < kBlockOutputs ? left : kBlockOutputs;
}

// One weight, for the scalar kernels.
static inline std::int8_t packed_weight(const std::int8_t* weights, int outputs, int inputs, int output, int input) {
  const int first = output / kBlockOutputs * kBlockOutputs;
  const int width = block_width(outputs, first);
  return weights[packed_block(first, inputs) + (static_cast<std::int64_t>(input / 4) * width + (output - first)) * 4 +
                 input % 4];
}

}  // namespace edgekit
