// lstm_f32: an LSTM layer over a sequence, in one direction. steps = 1 is one step of a stream.
//
//   S = input[t] W + bias + hidden R + recurrent_bias
//   cell = sigmoid(Sf) * cell + sigmoid(Si) * tanh(Sc)
//   hidden = sigmoid(So) * tanh(cell), output[t] = hidden
//
// Gates in the order of ONNX: i, o, f, c ("input, output, forget, cell"). Everything is f32, to a tolerance. Weights
// and biases are laid out as common/recurrent.h says; input, states, output, scratch, reverse and what may overlap are
// as in lstm_i8/lstm_i8.h. NaN and infinities go on as the formulas take them.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_LSTM_F32_FIELDS(REF, I32, F32)                                                      \
  REF(input) REF(hidden_in) REF(cell_in) REF(hidden_out) REF(cell_out) REF(output) REF(weights)     \
  REF(recurrent) REF(bias) REF(recurrent_bias) REF(scratch)                                         \
  I32(steps) I32(rows) I32(inputs) I32(hidden) I32(reverse) I32(input_stride) I32(input_row_stride) \
  I32(output_stride) I32(output_row_stride)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(LstmF32, EDGEKIT_LSTM_F32_FIELDS)

void check(const LstmF32& params, const Checker& checker);

}  // namespace edgekit
