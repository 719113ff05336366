// depthwise_u8: a quantized depthwise convolution: every channel with taps of its own.
//
//   acc[y][x][c]    = bias[c] + sum_(j, i) input[y][x][j][i][c] * weights[c][j][i]            exact, int32
//   output[y][x][c] = clamp(round(acc * scale[c]) + zero_point, low, high)                    u8
//
// round: to the nearest, ties to even. acc * scale is one f32 product of the rounded int32; |acc * scale| < 2^31.
// The zero point of the input is folded into bias: bias[c] - zero_point_in * sum weights[c]; see fold_bias.
//
// input: u8, the address of tap (0, 0) of output (0, 0); padding lies in memory around the image. The tap (j, i) of
//   output (y, x) begins
//   y * input_row_stride + x * input_column_stride + j * tap_y_stride + i * tap_x_stride bytes further,
//   so stride and dilation are in these four. May be read up to kSlack bytes further.
// weights: s8, [taps_x][taps_y / 4][channels][4]: four taps of a column side by side, taps_y filled up with zeros to a
//   multiple of 4, channels to a multiple of 16. See pack_depthwise. bias, scale: int32 and f32, filled up to a
//   multiple of 16.
// output: u8, `channels` bytes for each pixel, written exactly; no alignment. Must not overlap what is read.
//
// Columns are the inner loop, four outputs or more at a time, and four taps of y cost what one costs. Rows and columns
// may be exchanged with their strides, and so may y and x of the taps: the longer side of the image should be the
// columns, and a row of taps should be a column. 3 x 3 taps are fast where input_column_stride is once or twice
// tap_x_stride: there, both are exchanged or neither.
#pragma once

#include "common/checker.h"
#include "common/params.h"
#include "common/rounding.h"

// clang-format off
#define EDGEKIT_DEPTHWISE_U8_FIELDS(REF, I32, F32)                                                              \
  REF(input) REF(weights) REF(bias) REF(scale) REF(output)                                                      \
  I32(rows) I32(columns) I32(channels) I32(input_row_stride) I32(input_column_stride) I32(taps_y) I32(taps_x)   \
  I32(tap_y_stride) I32(tap_x_stride) I32(output_row_stride) I32(output_column_stride) I32(zero_point) I32(low) \
  I32(high)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(DepthwiseU8, EDGEKIT_DEPTHWISE_U8_FIELDS)

void check(const DepthwiseU8& params, const Checker& checker);

// Weights of four taps of one channel, and what follows from it: four channels are 16 bytes.
static inline std::int64_t depthwise_group(const DepthwiseU8& p, int tap_x, int group) {
  return (tap_x * (round_up(p.taps_y, 4) / 4) + group) * round_up(p.channels, 16) * 4;
}

// How far apart the outputs of a row are, in columns of 3 x 3 taps: 1 or 2; else 0, also where the taps are others.
static inline int depthwise_step(const DepthwiseU8& p) {
  if (p.taps_y != 3 || p.taps_x != 3) return 0;
  return p.input_column_stride == p.tap_x_stride ? 1 : p.input_column_stride == 2LL * p.tap_x_stride ? 2 : 0;
}

}  // namespace edgekit
