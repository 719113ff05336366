// add_u8: the sum of two quantized images, each with a scale and a zero point.
//
//   value           = fma(b - b_zero_point, b_scale, (a - a_zero_point) * a_scale)    f32: the product is rounded too
//   output[y][x][c] = clamp(round(value) + zero_point, low, high)                     u8
//
// round: to the nearest, ties to even; |value| < 2^31. a_scale and b_scale are those of the inputs over that of the
// output.
//
// a, b: u8, channels bytes for each pixel; may be read up to kSlack bytes further.
// output: u8, written exactly; no alignment. It may be a or b itself, with the same strides; else it must not overlap
// them.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_ADD_U8_FIELDS(REF, I32, F32)                                                                         \
  REF(a) REF(b) REF(output)                                                                                          \
  I32(rows) I32(columns) I32(channels) I32(a_row_stride) I32(a_column_stride) I32(b_row_stride) I32(b_column_stride) \
  I32(output_row_stride) I32(output_column_stride) I32(a_zero_point) I32(b_zero_point) I32(zero_point) I32(low)      \
  I32(high) F32(a_scale) F32(b_scale)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(AddU8, EDGEKIT_ADD_U8_FIELDS)

void check(const AddU8& params, const Checker& checker);

}  // namespace edgekit
