#include "activation_f32/activation_f32.h"
#include "common/activation.h"

namespace edgekit {

void check(const ActivationF32& p, const Checker& checker) {
  checker.in_range(p.count, 1, kMaxStride, "count");
  checker.in_range(p.activation, 0, kActivations - 1, "activation");
  checker.reads(p.input, 4ull * p.count, "input", Overread::no, 4);
  checker.writes(p.output, 4ull * p.count, "output", 4);
}

}  // namespace edgekit
