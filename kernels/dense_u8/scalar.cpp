#include "common/packed.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_dense_u8_scalar(const DenseU8* p, const Memory* memory) {
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const auto* bias = at<const std::int32_t>(memory, p->bias);
  const auto* scale = at<const float>(memory, p->scale);
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const std::uint8_t* input = at<const std::uint8_t>(memory, p->input) + row * p->input_stride;
    for (int n = 0; n < p->outputs; ++n) {
      std::uint32_t sum = static_cast<std::uint32_t>(bias[n]);  // unsigned: overflow wraps, as vector adds do
      for (int k = 0; k < p->inputs; ++k)
        sum += static_cast<std::uint32_t>(input[k] * packed_weight(weights, p->outputs, p->inputs, n, k));
      const float value = static_cast<float>(static_cast<std::int32_t>(sum)) * scale[n];
      if (p->output.space != kNone)
        (at<std::uint8_t>(memory, p->output) + row * p->output_stride)[n] =
            requantize(value, p->zero_point, p->low, p->high);
      else
        (at<float>(memory, p->output_f32) + row * p->output_stride / 4)[n] = value;
    }
  }
}

}  // namespace edgekit
