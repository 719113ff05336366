// activation_f32: one of the functions of common/activation.h on every value.
//
//   output[i] = f(input[i])
//
// input, output: f32, `count` values that follow each other, 4-byte aligned; the output may be the input itself.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_ACTIVATION_F32_FIELDS(REF, I32, F32)   \
  REF(input) REF(output)                               \
  I32(count) I32(activation)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(ActivationF32, EDGEKIT_ACTIVATION_F32_FIELDS)

void check(const ActivationF32& params, const Checker& checker);

}  // namespace edgekit
