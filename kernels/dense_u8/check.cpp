#include "common/packed.h"
#include "dense_u8/dense_u8.h"

namespace edgekit {

void check(const DenseU8& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.inputs, 1, kMaxCount, "inputs");
  checker.in_range(p.outputs, 1, kMaxCount, "outputs");
  checker.in_range(p.input_stride, 0, kMaxStride, "input_stride");
  checker.in_range(p.output_stride, 0, kMaxStride, "output_stride");
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.in_range(p.low, 0, 255, "low");
  checker.in_range(p.high, p.low, 255, "high");
  checker.require(Checker::absent(p.output) != Checker::absent(p.output_f32), "one of output and output_f32");
  const Overread behind = p.inputs % 4 ? Overread::slack : Overread::no;  // rows read whole groups of 4
  checker.reads(p.input, extent(p.rows, p.input_stride, p.inputs), "input", behind);
  checker.reads(p.weights, packed_bytes(p.outputs, p.inputs), "weights");
  const std::uint64_t lanes = round_up(p.outputs, kLaneOutputs);
  checker.reads(p.bias, lanes * 4, "bias", Overread::no, 4);
  checker.reads(p.scale, lanes * 4, "scale", Overread::no, 4);
  if (Checker::absent(p.output_f32)) {
    checker.writes(p.output, extent(p.rows, p.output_stride, p.outputs), "output");
  } else {
    checker.require(p.output_stride % 4 == 0, "output_stride in whole floats");
    checker.writes(p.output_f32, extent(p.rows, p.output_stride, 4LL * p.outputs), "output_f32", 4);
  }
}

}  // namespace edgekit
