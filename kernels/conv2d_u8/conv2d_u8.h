// conv2d_u8: a quantized convolution of one NHWC image, with bias, scale, clamp, and on request a residual.
//
//   acc[y][x][n] = bias[n] + sum_{i, j, k} tap(y, x, i, j)[k] * weights[n][i][j][k]          exact, int32
//   tap(y, x, i, j) = input + y * input_row_stride + x * input_column_stride + i * tap_y_stride + j * tap_x_stride
//   value  = acc[y][x][n] * scale[n]
//   value  = fma(residual[y][x][n] - residual_zero_point, residual_scale, value)              where residual is given
//   output[y][x][n] = clamp(round(value) + zero_point, low, high)                             u8
//
// round: to the nearest, ties to even. acc * scale is one f32 product of the rounded int32, fma is rounded once;
// |value| < 2^31. The zero point of the input is folded into bias, as in dense_u8.
//
// Strides are in bytes. `rows` and `columns` count outputs: a convolution's stride lies in the input strides. A tap is
// a run of `tap_bytes` neighbouring bytes: kw * channels of them where columns are not dilated (taps_x = 1), else the
// channels of one pixel. Padding lies in memory around the image; `input` is the first tap of the first output. Where
// rows follow each other without a gap (1x1), the caller gives one row of all pixels.
//
// input: u8, no alignment; up to 3 bytes behind a tap may be read where tap_bytes is no multiple of 4.
// weights: s8, packed: blocks of 64 outputs (the last one is narrower: a multiple of 16), each
//   [taps_y][taps_x][tap_bytes / 4][outputs][4], bytes of a tap and outputs filled up with zeros to multiples of 4 and
//   16. See edgekit/backends/native/packing.py.
// bias, scale: int32 and f32, filled up to a multiple of 16.
// residual: u8, `outputs` channels, or absent. output: u8, written exactly; no alignment.
// What is written may not overlap what is read, but the residual may be the output itself, with the same strides.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_CONV2D_U8_FIELDS(REF, I32, F32)                                            \
  REF(input) REF(weights) REF(bias) REF(scale) REF(residual) REF(output)                   \
  I32(rows) I32(columns) I32(outputs) I32(input_row_stride) I32(input_column_stride)       \
  I32(taps_y) I32(taps_x) I32(tap_y_stride) I32(tap_x_stride) I32(tap_bytes)               \
  I32(output_row_stride) I32(output_column_stride)                                         \
  I32(residual_row_stride) I32(residual_column_stride) I32(residual_zero_point)            \
  I32(zero_point) I32(low) I32(high) F32(residual_scale)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(Conv2dU8, EDGEKIT_CONV2D_U8_FIELDS)

void check(const Conv2dU8& params, const Checker& checker);

}  // namespace edgekit
