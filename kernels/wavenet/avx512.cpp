#include "ops.h"
#include "wavenet/rows_float.h"
#include "wavenet/vector_avx512.h"

namespace edgekit {

extern "C" void edgekit_wavenet_f32_avx512(const WavenetF32* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<Avx512, float>);
}

extern "C" void edgekit_wavenet_bf16_avx512(const WavenetBf16* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<Avx512, std::uint16_t>);
}

}  // namespace edgekit
