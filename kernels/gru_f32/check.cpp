#include "common/recurrent_check.h"
#include "gru_f32/gru_f32.h"

namespace edgekit {

void check(const GruF32& p, const Checker& checker) {
  checker.in_range(p.linear_before_reset, 0, 1, "linear_before_reset");
  check_layer(p, checker, WeightType::f32, 3);
}

}  // namespace edgekit
