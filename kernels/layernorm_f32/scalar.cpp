#include <cmath>

#include "ops.h"

namespace edgekit {

extern "C" void edgekit_layernorm_f32_scalar(const LayernormF32* p, const Memory* memory) {
  const float* scale = at<const float>(memory, p->scale);
  const float* bias = at<const float>(memory, p->bias);
  const float columns = static_cast<float>(p->columns);
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    float sum = 0, squares = 0;
    for (int k = 0; k < p->columns; ++k) sum += input[k];
    const float mean = sum / columns;
    for (int k = 0; k < p->columns; ++k) squares += (input[k] - mean) * (input[k] - mean);
    const float factor = 1.0f / std::sqrt(squares / columns + p->epsilon);
    for (int k = 0; k < p->columns; ++k) output[k] = std::fma((input[k] - mean) * factor, scale[k], bias[k]);
  }
}

}  // namespace edgekit
