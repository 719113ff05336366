#include "layernorm_f32/layernorm_f32.h"

namespace edgekit {

void check(const LayernormF32& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.input_stride, 0, kMaxStride, "input_stride");
  checker.in_range(p.output_stride, 0, kMaxStride, "output_stride");
  checker.require((p.input_stride | p.output_stride) % 4 == 0, "strides in whole floats");
  checker.finite(p.epsilon, "epsilon");
  checker.require(p.epsilon >= 0, "an epsilon of at least 0");
  checker.reads(p.input, extent(p.rows, p.input_stride, 4LL * p.columns), "input", Overread::no, 4);
  checker.reads(p.scale, 4ull * p.columns, "scale", Overread::no, 4);
  checker.reads(p.bias, 4ull * p.columns, "bias", Overread::no, 4);
  checker.writes(p.output, extent(p.rows, p.output_stride, 4LL * p.columns), "output", 4);
}

}  // namespace edgekit
