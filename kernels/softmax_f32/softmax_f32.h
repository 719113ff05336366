// softmax_f32: e^x over the sum of e^x, for each row.
//
//   m = max_k input[k];  output[k] = e^(input[k] - m) / sum_j e^(input[j] - m)
//
// input, output: f32, `rows` rows of `columns` values, strides in bytes, multiples of 4; 4-byte aligned. The output may
// be the input itself, with its stride. A row with NaN or +inf, or of -inf alone, gives NaN.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_SOFTMAX_F32_FIELDS(REF, I32, F32)             \
  REF(input) REF(output)                                      \
  I32(rows) I32(columns) I32(input_stride) I32(output_stride)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(SoftmaxF32, EDGEKIT_SOFTMAX_F32_FIELDS)

void check(const SoftmaxF32& params, const Checker& checker);

}  // namespace edgekit
