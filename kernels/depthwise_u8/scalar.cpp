#include "ops.h"

namespace edgekit {

namespace {

// Sum of the taps of one channel; `input` is tap (0, 0) of it. Unsigned: overflow wraps, as vector adds do.
std::uint32_t sum_taps(const DepthwiseU8& p, const std::uint8_t* input, const std::int8_t* weights, int channel) {
  std::uint32_t sum = 0;
  for (int i = 0; i < p.taps_x; ++i)
    for (int j = 0; j < p.taps_y; ++j) {
      const std::int8_t weight = weights[depthwise_group(p, i, j / 4) + channel * 4LL + j % 4];
      const std::uint8_t level =
          input[j * static_cast<std::int64_t>(p.tap_y_stride) + i * static_cast<std::int64_t>(p.tap_x_stride)];
      sum += static_cast<std::uint32_t>(level * weight);
    }
  return sum;
}

}  // namespace

extern "C" void edgekit_depthwise_u8_scalar(const DepthwiseU8* p, const Memory* memory) {
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const auto* bias = at<const std::int32_t>(memory, p->bias);
  const auto* scale = at<const float>(memory, p->scale);
  for (std::int64_t y = 0; y < p->rows; ++y)
    for (std::int64_t x = 0; x < p->columns; ++x) {
      const std::uint8_t* input =
          at<const std::uint8_t>(memory, p->input) + y * p->input_row_stride + x * p->input_column_stride;
      std::uint8_t* output =
          at<std::uint8_t>(memory, p->output) + y * p->output_row_stride + x * p->output_column_stride;
      for (int c = 0; c < p->channels; ++c) {
        const std::uint32_t sum = static_cast<std::uint32_t>(bias[c]) + sum_taps(*p, input + c, weights, c);
        const float value = static_cast<float>(static_cast<std::int32_t>(sum)) * scale[c];
        output[c] = requantize(value, p->zero_point, p->low, p->high);
      }
    }
}

}  // namespace edgekit
