#include <cmath>

#include "ops.h"

namespace edgekit {

namespace {

void softmax(const float* input, float* output, int columns) {
  float largest = input[0];
  for (int k = 1; k < columns; ++k) largest = input[k] > largest ? input[k] : largest;
  float sum = 0;
  for (int k = 0; k < columns; ++k) {
    output[k] = std::exp(input[k] - largest);
    sum += output[k];
  }
  for (int k = 0; k < columns; ++k) output[k] /= sum;
}

}  // namespace

extern "C" void edgekit_softmax_f32_scalar(const SoftmaxF32* p, const Memory* memory) {
  for (std::int64_t row = 0; row < p->rows; ++row)
    softmax(at<const float>(memory, p->input) + row * p->input_stride / 4,
            at<float>(memory, p->output) + row * p->output_stride / 4, p->columns);
}

}  // namespace edgekit
