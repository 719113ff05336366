#include "common/recurrent_check.h"
#include "lstm_f32/lstm_f32.h"

namespace edgekit {

void check(const LstmF32& p, const Checker& checker) {
  check_layer(p, checker, WeightType::f32, 4);
  checker.reads(p.cell_in, 4LL * p.rows * p.hidden, "cell_in", Overread::no, 4);
  checker.writes(p.cell_out, 4LL * p.rows * p.hidden, "cell_out", 4);
}

}  // namespace edgekit
