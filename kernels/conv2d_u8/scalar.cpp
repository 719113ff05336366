#include <cmath>

#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// The sum of one output; `input` is its first tap.
std::int32_t sum_of(const Conv2dU8& p, const std::uint8_t* input, const std::int8_t* weights, std::int32_t bias,
                    int n) {
  const int padded = static_cast<int>(round_up(p.tap_bytes, 4));
  const int inputs = p.taps_y * p.taps_x * padded;
  std::uint32_t sum = static_cast<std::uint32_t>(bias);  // unsigned: overflow wraps, as vector adds do
  for (int i = 0; i < p.taps_y; ++i) {
    for (int j = 0; j < p.taps_x; ++j) {
      const std::uint8_t* tap = input + std::int64_t{i} * p.tap_y_stride + std::int64_t{j} * p.tap_x_stride;
      for (int k = 0; k < p.tap_bytes; ++k) {
        const int position = (i * p.taps_x + j) * padded + k;
        sum += static_cast<std::uint32_t>(tap[k] * packed_weight(weights, p.outputs, inputs, n, position));
      }
    }
  }
  return static_cast<std::int32_t>(sum);
}

}  // namespace

extern "C" void edgekit_conv2d_u8_scalar(const Conv2dU8* p, const Memory* memory) {
  const auto* input = at<const std::uint8_t>(memory, p->input);
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const auto* bias = at<const std::int32_t>(memory, p->bias);
  const auto* scale = at<const float>(memory, p->scale);
  const auto* residual = at<const std::uint8_t>(memory, p->residual);
  auto* output = at<std::uint8_t>(memory, p->output);
  for (std::int64_t y = 0; y < p->rows; ++y) {
    for (std::int64_t x = 0; x < p->columns; ++x) {
      const std::uint8_t* first_tap = input + y * p->input_row_stride + x * p->input_column_stride;
      for (int n = 0; n < p->outputs; ++n) {
        float value = static_cast<float>(sum_of(*p, first_tap, weights, bias[n], n)) * scale[n];
        if (residual) {
          const int level = residual[y * p->residual_row_stride + x * p->residual_column_stride + n];
          value = std::fma(static_cast<float>(level - p->residual_zero_point), p->residual_scale, value);
        }
        output[y * p->output_row_stride + x * p->output_column_stride + n] =
            requantize(value, p->zero_point, p->low, p->high);
      }
    }
  }
}

}  // namespace edgekit
