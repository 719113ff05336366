#include "quantize_u8/quantize_u8.h"

namespace edgekit {

void check(const QuantizeU8& p, const Checker& checker) {
  const Walk walk = walk_of(p);
  check_walk(walk, checker);
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.finite(p.inverse_scale, "inverse_scale");
  checker.reads(p.input, f32_extent(walk), "input", Overread::no, 4);
  checker.writes(p.output, u8_extent(walk), "output");
}

}  // namespace edgekit
