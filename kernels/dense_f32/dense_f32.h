// dense_f32: a matrix-vector product for each row of a batch, with bias and activation.
//
//   output[n] = f(bias[n] + sum_k input[k] * weights[n][k])
//
// f: common/activation.h. The order of the sum is left to the row; products are fused into it.
// input: f32, `rows` rows of `inputs` values, input_stride bytes apart.
// weights: f32, packed: blocks of 64 outputs (the last one is narrower: a multiple of 16), each [inputs][outputs],
//   outputs filled up with zeros to a multiple of 16. See edgekit/backends/native/packing.py.
// bias: f32, filled up to a multiple of 16.
// output: f32, `rows` rows of `outputs` values, output_stride bytes apart; written exactly.
// Strides are multiples of 4, everything is 4-byte aligned. Nothing that is written may overlap what is read.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_DENSE_F32_FIELDS(REF, I32, F32)                                           \
  REF(input) REF(weights) REF(bias) REF(output)                                           \
  I32(rows) I32(inputs) I32(outputs) I32(input_stride) I32(output_stride) I32(activation)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(DenseF32, EDGEKIT_DENSE_F32_FIELDS)

void check(const DenseF32& params, const Checker& checker);

}  // namespace edgekit
