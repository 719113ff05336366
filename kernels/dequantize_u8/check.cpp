#include "dequantize_u8/dequantize_u8.h"

namespace edgekit {

void check(const DequantizeU8& p, const Checker& checker) {
  const Walk walk = walk_of(p);
  check_walk(walk, checker);
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.finite(p.scale, "scale");
  checker.reads(p.input, u8_extent(walk), "input");
  checker.writes(p.output, f32_extent(walk), "output", 4);
}

}  // namespace edgekit
