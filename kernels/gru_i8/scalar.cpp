#include "common/gru_steps.h"
#include "common/recurrent_scalar.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_gru_i8_scalar(const GruI8* p, const Memory* memory) {
  run_gru<ScalarS8>(quantized_layer_of(p, memory, kGruGates), p->linear_before_reset != 0);
}

}  // namespace edgekit
