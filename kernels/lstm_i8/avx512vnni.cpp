#include "common/lstm_steps.h"
#include "common/recurrent_avx512vnni.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_lstm_i8_avx512vnni(const LstmI8* p, const Memory* memory) {
  run_lstm<Vnni>(quantized_layer_of(p, memory, kLstmGates), at<const float>(memory, p->cell_in),
                 at<float>(memory, p->cell_out));
}

}  // namespace edgekit
