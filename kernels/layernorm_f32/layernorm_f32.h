// layernorm_f32: each row less its mean, over its standard deviation, with scale and bias.
//
//   mean = sum_k input[k] / columns;  variance = sum_k (input[k] - mean)^2 / columns
//   output[k] = (input[k] - mean) / sqrt(variance + epsilon) * scale[k] + bias[k]
//
// input, output: f32, `rows` rows of `columns` values, strides in bytes, multiples of 4. scale, bias: f32, `columns`.
// All are 4-byte aligned. The output may be the input itself, with its stride.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_LAYERNORM_F32_FIELDS(REF, I32, F32)                        \
  REF(input) REF(scale) REF(bias) REF(output)                              \
  I32(rows) I32(columns) I32(input_stride) I32(output_stride) F32(epsilon)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(LayernormF32, EDGEKIT_LAYERNORM_F32_FIELDS)

void check(const LayernormF32& params, const Checker& checker);

}  // namespace edgekit
