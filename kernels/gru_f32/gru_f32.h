// gru_f32: a GRU layer over a sequence, in one direction. steps = 1 is one step of a stream.
//
//   P = input[t] W + bias, Q = hidden R + recurrent_bias
//   z = sigmoid(Pz + Qz), r = sigmoid(Pr + Qr)
//   n = tanh(Pn + r * Qn)                                        linear_before_reset 1
//   n = tanh(Pn + (r * hidden) Rn + recurrent_biasn)             linear_before_reset 0
//   hidden = (1 - z) * n + z * hidden, output[t] = hidden
//
// Gates in the order of ONNX: z, r, n ("update, reset, hidden"). Everything is f32, to a tolerance. Weights and biases
// are laid out as common/recurrent.h says; input, states, output, scratch, reverse and what may overlap are as in
// gru_i8/gru_i8.h. NaN and infinities go on as the formulas take them.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_GRU_F32_FIELDS(REF, I32, F32)                                                          \
  REF(input) REF(hidden_in) REF(hidden_out) REF(output) REF(weights) REF(recurrent) REF(bias)          \
  REF(recurrent_bias) REF(scratch)                                                                     \
  I32(steps) I32(rows) I32(inputs) I32(hidden) I32(linear_before_reset) I32(reverse) I32(input_stride) \
  I32(input_row_stride) I32(output_stride) I32(output_row_stride)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(GruF32, EDGEKIT_GRU_F32_FIELDS)

void check(const GruF32& params, const Checker& checker);

}  // namespace edgekit
