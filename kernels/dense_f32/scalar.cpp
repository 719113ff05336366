#include <cmath>

#include "common/activation.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_dense_f32_scalar(const DenseF32* p, const Memory* memory) {
  const auto* weights = at<const float>(memory, p->weights);
  const auto* bias = at<const float>(memory, p->bias);
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    for (int n = 0; n < p->outputs; ++n) {
      const int first = n / kBlockOutputs * kBlockOutputs, width = block_width(p->outputs, first);
      const float* of_output = weights + static_cast<std::int64_t>(first) * p->inputs + (n - first);
      float sum = bias[n];
      for (std::int64_t k = 0; k < p->inputs; ++k) sum = std::fma(input[k], of_output[k * width], sum);
      output[n] = activate(sum, p->activation);
    }
  }
}

}  // namespace edgekit
