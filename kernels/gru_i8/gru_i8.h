// gru_i8: a GRU layer over a sequence, in one direction, with s8 weights; inputs and hidden state are quantized as it
// runs. steps = 1 is one step of a stream.
//
//   x = quantized(input[t]), h = quantized(hidden), each with its own scale for every row and step
//   P = (x W) * x.scale * weights_scale + bias, Q = (h R) * h.scale * recurrent_scale + recurrent_bias
//   z = sigmoid(Pz + Qz), r = sigmoid(Pr + Qr)
//   n = tanh(Pn + r * Qn)                                        linear_before_reset 1
//   n = tanh(Pn + quantized(r * hidden) Rn * ... + biasn)        linear_before_reset 0
//   hidden = (1 - z) * n + z * hidden, output[t] = hidden
//
// Gates in the order of ONNX: z, r, n ("update, reset, hidden"). Sums are exact (int32), the rest is f32 to a
// tolerance. quantized: symmetric, 8 bits, see common/recurrent.h: there are also the layouts of weights, scales and
// biases. input: f32, for each of `steps` steps `rows` rows of `inputs` values; input_stride bytes from step to step,
//   input_row_stride from row to row. reverse 1 begins with the last step.
// hidden_in, hidden_out: f32 (rows, hidden), before the first and after the last step; may be the same memory.
// output: f32, laid out as the input is; absent where only the last hidden state is asked for.
// scratch: scratch_layout(...).bytes, aligned to 64. f32 tensors are aligned to 4; nothing is read beyond its end.
// Apart from hidden_in and hidden_out nothing that is written may overlap what is read.
// A NaN or an infinity in a row makes all that follows from this row NaN.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_GRU_I8_FIELDS(REF, I32, F32)                                                           \
  REF(input) REF(hidden_in) REF(hidden_out) REF(output) REF(weights) REF(recurrent) REF(weights_scale) \
  REF(recurrent_scale) REF(bias) REF(recurrent_bias) REF(scratch)                                      \
  I32(steps) I32(rows) I32(inputs) I32(hidden) I32(linear_before_reset) I32(reverse) I32(input_stride) \
  I32(input_row_stride) I32(output_stride) I32(output_row_stride)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(GruI8, EDGEKIT_GRU_I8_FIELDS)

void check(const GruI8& params, const Checker& checker);

}  // namespace edgekit
