#include "softmax_f32/softmax_f32.h"

namespace edgekit {

void check(const SoftmaxF32& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.input_stride, 0, kMaxStride, "input_stride");
  checker.in_range(p.output_stride, 0, kMaxStride, "output_stride");
  checker.require((p.input_stride | p.output_stride) % 4 == 0, "strides in whole floats");
  checker.reads(p.input, extent(p.rows, p.input_stride, 4LL * p.columns), "input", Overread::no, 4);
  checker.writes(p.output, extent(p.rows, p.output_stride, 4LL * p.columns), "output", 4);
}

}  // namespace edgekit
