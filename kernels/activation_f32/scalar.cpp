#include "common/activation.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_activation_f32_scalar(const ActivationF32* p, const Memory* memory) {
  const float* input = at<const float>(memory, p->input);
  float* output = at<float>(memory, p->output);
  for (int i = 0; i < p->count; ++i) output[i] = activate(input[i], p->activation);
}

}  // namespace edgekit
