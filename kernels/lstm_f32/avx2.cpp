#include "common/lstm_steps.h"
#include "common/recurrent_avx2.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_lstm_f32_avx2(const LstmF32* p, const Memory* memory) {
  run_lstm<Avx2F32>(layer_of(p, memory, WeightType::f32, kLstmGates), at<const float>(memory, p->cell_in),
                    at<float>(memory, p->cell_out));
}

}  // namespace edgekit
