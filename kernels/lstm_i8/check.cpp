#include "common/recurrent_check.h"
#include "lstm_i8/lstm_i8.h"

namespace edgekit {

void check(const LstmI8& p, const Checker& checker) {
  check_layer(p, checker, WeightType::s8, 4);
  check_scales(p, checker, 4);
  checker.reads(p.cell_in, 4LL * p.rows * p.hidden, "cell_in", Overread::no, 4);
  checker.writes(p.cell_out, 4LL * p.rows * p.hidden, "cell_out", 4);
}

}  // namespace edgekit
