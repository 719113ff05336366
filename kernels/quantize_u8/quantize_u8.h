// quantize_u8: floats to levels, and from any layout to NHWC: QuantizeLinear and Transpose in one pass.
//
//   output[y][x][c] = clamp(round(input[y][x][c] * inverse_scale) + zero_point, 0, 255)
//
// round: to the nearest, ties to even, of one f32 product. NaN gives 0; infinities give 0 and 255.
// input: f32 at any strides, in bytes, multiples of 4. output: u8, a pixel's channels follow each other.
// The output may not overlap the input, nor itself.
#pragma once

#include "common/checker.h"
#include "common/params.h"
#include "common/walk.h"

// clang-format off
#define EDGEKIT_QUANTIZE_U8_FIELDS(REF, I32, F32)                                             \
  REF(input) REF(output)                                                                      \
  I32(rows) I32(columns) I32(channels) I32(input_row_stride) I32(input_column_stride)         \
  I32(input_channel_stride) I32(output_row_stride) I32(output_column_stride) I32(zero_point)  \
  F32(inverse_scale)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(QuantizeU8, EDGEKIT_QUANTIZE_U8_FIELDS)

static inline Walk walk_of(const QuantizeU8& p) {
  return {p.rows,
          p.columns,
          p.channels,
          p.input_row_stride,
          p.input_column_stride,
          p.input_channel_stride,
          p.output_row_stride,
          p.output_column_stride};
}

void check(const QuantizeU8& params, const Checker& checker);

}  // namespace edgekit
