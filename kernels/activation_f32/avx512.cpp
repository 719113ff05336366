#include "common/avx512.h"

#include "common/activate_avx512.h"
#include "ops.h"

namespace edgekit {

namespace {

// A loop for each function, so that the choice is made once.
template <int ACTIVATION>
void vector(const float* input, float* output, int count) {
  int i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(output + i, activate16(_mm512_loadu_ps(input + i), ACTIVATION));
  const __mmask16 rest = lanes(count - i);
  _mm512_mask_storeu_ps(output + i, rest, activate16(_mm512_maskz_loadu_ps(rest, input + i), ACTIVATION));
}

constexpr void (*kVector[kActivations])(const float*, float*, int) = {
    vector<kNoActivation>, vector<kRelu>,    vector<kRelu6>,    vector<kHardSwish>, vector<kSigmoid>,
    vector<kTanh>,         vector<kGeluErf>, vector<kGeluTanh>, vector<kSilu>};

}  // namespace

extern "C" void edgekit_activation_f32_avx512(const ActivationF32* p, const Memory* memory) {
  kVector[p->activation](at<const float>(memory, p->input), at<float>(memory, p->output), p->count);
}

}  // namespace edgekit
