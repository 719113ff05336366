#include "common/gru_steps.h"
#include "common/recurrent_avx2.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_gru_i8_avx2(const GruI8* p, const Memory* memory) {
  run_gru<Avx2S8>(quantized_layer_of(p, memory, kGruGates), p->linear_before_reset != 0);
}

}  // namespace edgekit
