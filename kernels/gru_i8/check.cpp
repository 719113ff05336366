#include "common/recurrent_check.h"
#include "gru_i8/gru_i8.h"

namespace edgekit {

void check(const GruI8& p, const Checker& checker) {
  checker.in_range(p.linear_before_reset, 0, 1, "linear_before_reset");
  check_layer(p, checker, WeightType::s8, 3);
  check_scales(p, checker, 3);
}

}  // namespace edgekit
