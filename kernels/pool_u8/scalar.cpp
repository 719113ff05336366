#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

namespace {

// The sum or the largest of the taps of one channel; `input` is tap (0, 0) of it.
int gather(const PoolU8& p, const std::uint8_t* input) {
  int gathered = 0;
  for (std::int64_t j = 0; j < p.taps_y; ++j)
    for (std::int64_t i = 0; i < p.taps_x; ++i) {
      const int level = input[j * p.tap_y_stride + i * p.tap_x_stride];
      gathered = p.maximum ? (level > gathered ? level : gathered) : gathered + level;
    }
  return gathered;
}

}  // namespace

extern "C" void edgekit_pool_u8_scalar(const PoolU8* p, const Memory* memory) {
  for (std::int64_t y = 0; y < p->rows; ++y)
    for (std::int64_t x = 0; x < p->columns; ++x) {
      const std::uint8_t* input =
          at<const std::uint8_t>(memory, p->input) + y * p->input_row_stride + x * p->input_column_stride;
      std::uint8_t* output =
          at<std::uint8_t>(memory, p->output) + y * p->output_row_stride + x * p->output_column_stride;
      for (int c = 0; c < p->channels; ++c) {
        const float value = static_cast<float>(gather(*p, input + c) - pool_zero(*p)) * p->scale;
        output[c] = requantize(value, p->zero_point, p->low, p->high);
      }
    }
}

}  // namespace edgekit
