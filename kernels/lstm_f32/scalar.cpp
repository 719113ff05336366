#include "common/lstm_steps.h"
#include "common/recurrent_scalar.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_lstm_f32_scalar(const LstmF32* p, const Memory* memory) {
  run_lstm<ScalarF32>(layer_of(p, memory, WeightType::f32, kLstmGates), at<const float>(memory, p->cell_in),
                      at<float>(memory, p->cell_out));
}

}  // namespace edgekit
