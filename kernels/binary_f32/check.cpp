#include "binary_f32/binary_f32.h"

namespace edgekit {

void check(const BinaryF32& p, const Checker& checker) {
  checker.in_range(p.count, 1, kMaxStride, "count");
  checker.in_range(p.kind, kAdd, kSubtract, "kind");
  checker.in_range(p.b_count, 1, p.count, "b_count");
  checker.require(p.count % p.b_count == 0, "a count that b_count divides");
  checker.reads(p.a, 4ull * p.count, "a", Overread::no, 4);
  checker.reads(p.b, 4ull * p.b_count, "b", Overread::no, 4);
  checker.writes(p.output, 4ull * p.count, "output", 4);
}

}  // namespace edgekit
