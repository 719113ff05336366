#include "common/avx2.h"

#include "common/activate_avx2.h"
#include "ops.h"

namespace edgekit {

namespace {

// A loop for each function, so that the choice is made once.
template <int ACTIVATION>
void vector(const float* input, float* output, int count) {
  int i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(output + i, activate8(_mm256_loadu_ps(input + i), ACTIVATION));
  if (i < count) store8(output + i, count - i, activate8(load8(input + i, count - i), ACTIVATION));
}

constexpr void (*kVector[kActivations])(const float*, float*, int) = {
    vector<kNoActivation>, vector<kRelu>,    vector<kRelu6>,    vector<kHardSwish>, vector<kSigmoid>,
    vector<kTanh>,         vector<kGeluErf>, vector<kGeluTanh>, vector<kSilu>};

}  // namespace

extern "C" void edgekit_activation_f32_avx2(const ActivationF32* p, const Memory* memory) {
  kVector[p->activation](at<const float>(memory, p->input), at<float>(memory, p->output), p->count);
}

}  // namespace edgekit
