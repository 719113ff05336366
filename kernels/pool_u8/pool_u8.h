// pool_u8: the average or the maximum of a window of every channel, quantized anew.
//
//   sum[y][x][c]    = sum_(j, i) input[y][x][j][i][c]     or, where `maximum` is 1, the largest of them: exact, int32
//   value           = (sum - taps * input_zero_point) * scale, or (largest - input_zero_point) * scale; one f32 product
//   output[y][x][c] = clamp(round(value) + zero_point, low, high)                                                u8
//
// round: to the nearest, ties to even; |value| < 2^31. The scale of an average has 1 / taps in it; every output has all
// taps: padding, if any, lies in memory and counts.
//
// input: u8, the address of tap (0, 0) of output (0, 0). The tap (j, i) of output (y, x) begins
//   y * input_row_stride + x * input_column_stride + j * tap_y_stride + i * tap_x_stride bytes further.
//   May be read up to kSlack bytes further.
// output: u8, `channels` bytes for each pixel, written exactly; no alignment. Must not overlap what is read.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_POOL_U8_FIELDS(REF, I32, F32)                                                                  \
  REF(input) REF(output)                                                                                       \
  I32(maximum) I32(rows) I32(columns) I32(channels) I32(input_row_stride) I32(input_column_stride) I32(taps_y) \
  I32(taps_x) I32(tap_y_stride) I32(tap_x_stride) I32(output_row_stride) I32(output_column_stride)             \
  I32(input_zero_point) I32(zero_point) I32(low) I32(high) F32(scale)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(PoolU8, EDGEKIT_POOL_U8_FIELDS)

void check(const PoolU8& params, const Checker& checker);

// What the sum is less of: the zero point of every tap.
static inline int pool_zero(const PoolU8& p) {
  return p.maximum ? p.input_zero_point : p.taps_y * p.taps_x * p.input_zero_point;
}

}  // namespace edgekit
