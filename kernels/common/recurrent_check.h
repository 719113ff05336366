// The checks that all recurrent ops have in common.
#pragma once

#include "common/recurrent.h"

namespace edgekit {

template <class Params>
inline void check_layer(const Params& p, const Checker& checker, WeightType type, int gates) {
  checker.in_range(p.steps, 1, kMaxCount, "steps");
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.inputs, 1, kMaxUnits, "inputs");
  checker.in_range(p.hidden, 1, kMaxUnits, "hidden");
  checker.in_range(p.reverse, 0, 1, "reverse");
  for (const std::int32_t stride : {p.input_stride, p.input_row_stride, p.output_stride, p.output_row_stride}) {
    checker.in_range(stride, 0, kMaxStride, "a stride");
    checker.require(stride % 4 == 0, "strides in whole floats");
  }
  const std::int64_t state_bytes = 4LL * p.rows * p.hidden, lane_bytes = 4LL * unit_blocks(p.hidden) * gates * kUnits;
  checker.reads(p.input, extent(p.steps, p.input_stride, extent(p.rows, p.input_row_stride, 4LL * p.inputs)), "input",
                Overread::no, 4);
  checker.reads(p.hidden_in, state_bytes, "hidden_in", Overread::no, 4);
  checker.writes(p.hidden_out, state_bytes, "hidden_out", 4);
  if (!Checker::absent(p.output))
    checker.writes(p.output, extent(p.steps, p.output_stride, extent(p.rows, p.output_row_stride, 4LL * p.hidden)),
                   "output", 4);
  checker.reads(p.weights, unit_blocks(p.hidden) * unit_block_bytes(type, gates, p.inputs), "weights", Overread::no, 4);
  checker.reads(p.recurrent, unit_blocks(p.hidden) * unit_block_bytes(type, gates, p.hidden), "recurrent", Overread::no,
                4);
  checker.reads(p.bias, lane_bytes, "bias", Overread::no, 4);
  checker.reads(p.recurrent_bias, lane_bytes, "recurrent_bias", Overread::no, 4);
  checker.writes(p.scratch, scratch_layout(type, gates, p.steps, p.rows, p.inputs, p.hidden).bytes, "scratch", 64);
}

// The scales that s8 weights have.
template <class Params>
inline void check_scales(const Params& p, const Checker& checker, int gates) {
  const std::int64_t lane_bytes = 4LL * unit_blocks(p.hidden) * gates * kUnits;
  checker.reads(p.weights_scale, lane_bytes, "weights_scale", Overread::no, 4);
  checker.reads(p.recurrent_scale, lane_bytes, "recurrent_scale", Overread::no, 4);
}

}  // namespace edgekit
