// dequantize_u8: levels to floats, and from NHWC to any layout: DequantizeLinear and Transpose in one pass.
//
//   output[y][x][c] = (input[y][x][c] - zero_point) * scale                       one f32 product
//
// input: u8, a pixel's channels follow each other. output: f32 at any strides, in bytes, multiples of 4; written
// exactly. Nothing may overlap.
#pragma once

#include "common/checker.h"
#include "common/params.h"
#include "common/walk.h"

// clang-format off
#define EDGEKIT_DEQUANTIZE_U8_FIELDS(REF, I32, F32)                                           \
  REF(input) REF(output)                                                                      \
  I32(rows) I32(columns) I32(channels) I32(input_row_stride) I32(input_column_stride)         \
  I32(output_row_stride) I32(output_column_stride) I32(output_channel_stride) I32(zero_point) \
  F32(scale)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(DequantizeU8, EDGEKIT_DEQUANTIZE_U8_FIELDS)

static inline Walk walk_of(const DequantizeU8& p) {
  return {p.rows,
          p.columns,
          p.channels,
          p.output_row_stride,
          p.output_column_stride,
          p.output_channel_stride,
          p.input_row_stride,
          p.input_column_stride};
}

void check(const DequantizeU8& params, const Checker& checker);

}  // namespace edgekit
