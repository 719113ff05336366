#include "common/activation.h"
#include "common/packed.h"
#include "dense_f32/dense_f32.h"

namespace edgekit {

void check(const DenseF32& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.inputs, 1, kMaxCount, "inputs");
  checker.in_range(p.outputs, 1, kMaxCount, "outputs");
  checker.in_range(p.input_stride, 0, kMaxStride, "input_stride");
  checker.in_range(p.output_stride, 0, kMaxStride, "output_stride");
  checker.in_range(p.activation, 0, kActivations - 1, "activation");
  checker.require((p.input_stride | p.output_stride) % 4 == 0, "strides in whole floats");
  const std::int64_t lanes = round_up(p.outputs, kLaneOutputs);
  checker.reads(p.input, extent(p.rows, p.input_stride, 4LL * p.inputs), "input", Overread::no, 4);
  checker.reads(p.weights, static_cast<std::uint64_t>(4 * lanes * p.inputs), "weights", Overread::no, 4);
  checker.reads(p.bias, static_cast<std::uint64_t>(4 * lanes), "bias", Overread::no, 4);
  checker.writes(p.output, extent(p.rows, p.output_stride, 4LL * p.outputs), "output", 4);
}

}  // namespace edgekit
