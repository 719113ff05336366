#include "common/lstm_steps.h"
#include "common/recurrent_scalar.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_lstm_i8_scalar(const LstmI8* p, const Memory* memory) {
  run_lstm<ScalarS8>(quantized_layer_of(p, memory, kLstmGates), at<const float>(memory, p->cell_in),
                     at<float>(memory, p->cell_out));
}

}  // namespace edgekit
