#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

extern "C" void edgekit_quantize_u8_scalar(const QuantizeU8* p, const Memory* memory) {
  for (std::int64_t row = 0; row < p->rows; ++row)
    for (std::int64_t column = 0; column < p->columns; ++column) {
      const float* input =
          at<const float>(memory, p->input) + (row * p->input_row_stride + column * p->input_column_stride) / 4;
      std::uint8_t* output =
          at<std::uint8_t>(memory, p->output) + row * p->output_row_stride + column * p->output_column_stride;
      for (std::int64_t c = 0; c < p->channels; ++c)
        output[c] = requantize(input[c * p->input_channel_stride / 4] * p->inverse_scale, p->zero_point, 0, 255);
    }
}

}  // namespace edgekit
