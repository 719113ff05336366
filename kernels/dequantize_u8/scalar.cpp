#include "ops.h"

namespace edgekit {

extern "C" void edgekit_dequantize_u8_scalar(const DequantizeU8* p, const Memory* memory) {
  for (std::int64_t row = 0; row < p->rows; ++row)
    for (std::int64_t column = 0; column < p->columns; ++column) {
      const std::uint8_t* input =
          at<const std::uint8_t>(memory, p->input) + row * p->input_row_stride + column * p->input_column_stride;
      float* output =
          at<float>(memory, p->output) + (row * p->output_row_stride + column * p->output_column_stride) / 4;
      for (std::int64_t c = 0; c < p->channels; ++c)
        output[c * p->output_channel_stride / 4] = static_cast<float>(input[c] - p->zero_point) * p->scale;
    }
}

}  // namespace edgekit
