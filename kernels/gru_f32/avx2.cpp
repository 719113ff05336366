#include "common/gru_steps.h"
#include "common/recurrent_avx2.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_gru_f32_avx2(const GruF32* p, const Memory* memory) {
  run_gru<Avx2F32>(layer_of(p, memory, WeightType::f32, kGruGates), p->linear_before_reset != 0);
}

}  // namespace edgekit
