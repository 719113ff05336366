// binary_f32: the sum, product or difference of two tensors, of which the second one may repeat.
//
//   output[i] = a[i] op b[i % b_count]           one f32 operation
//
// kind: 0 adds, 1 multiplies, 2 subtracts. b_count divides count: 1 for a scalar, the channels of NHWC for a bias,
// count for a tensor of the same shape.
// a, output: f32, `count` values that follow each other; b: `b_count`. 4-byte aligned. The output may be a, or b where
// it does not repeat.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_BINARY_F32_FIELDS(REF, I32, F32)   \
  REF(a) REF(b) REF(output)                        \
  I32(count) I32(kind) I32(b_count)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(BinaryF32, EDGEKIT_BINARY_F32_FIELDS)

enum BinaryKind : int { kAdd = 0, kMultiply = 1, kSubtract = 2 };

void check(const BinaryF32& params, const Checker& checker);

}  // namespace edgekit
