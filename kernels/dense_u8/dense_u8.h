// dense_u8: a quantized matrix-vector product for each row of a batch, with bias, scale and clamp.
//
//   acc[n]    = bias[n] + sum_k input[k] * weights[n][k]                          exact, int32
//   output[n] = clamp(round(acc[n] * scale[n]) + zero_point, low, high)           u8, where output is given
//   output_f32[n] = acc[n] * scale[n]                                             f32, where output_f32 is given
//
// round: to the nearest, ties to even. acc * scale is one f32 product of the rounded int32; |acc * scale| < 2^31.
// The zero point of the input is folded into bias by whoever packs: bias[n] - zero_point_in * sum_k weights[n][k].
//
// input: u8, `rows` rows of `inputs` bytes, input_stride bytes apart; may be read up to kSlack bytes further.
// weights: s8, packed: blocks of 64 outputs (the last one is narrower: a multiple of 16), each
//   [inputs / 4][outputs][4], inputs and outputs filled up with zeros to multiples of 4 and 16.
//   See edgekit/backends/native/packing.py.
// bias, scale: int32 and f32, filled up to a multiple of 16.
// output: u8 or f32, `rows` rows of `outputs` values, output_stride bytes apart; written exactly; no alignment.
// Exactly one of output and output_f32 is given. Nothing that is written may overlap what is read.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_DENSE_U8_FIELDS(REF, I32, F32)                                                \
  REF(input) REF(weights) REF(bias) REF(scale) REF(output) REF(output_f32)                    \
  I32(rows) I32(inputs) I32(outputs) I32(input_stride) I32(output_stride)                     \
  I32(zero_point) I32(low) I32(high)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(DenseU8, EDGEKIT_DENSE_U8_FIELDS)

void check(const DenseU8& params, const Checker& checker);

}  // namespace edgekit
