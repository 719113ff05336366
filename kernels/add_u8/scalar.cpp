#include <cmath>

#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

namespace {

std::uint8_t sum_of(const AddU8& p, int a, int b) {
  const float first = static_cast<float>(a - p.a_zero_point) * p.a_scale;
  const float value = std::fma(static_cast<float>(b - p.b_zero_point), p.b_scale, first);
  return requantize(value, p.zero_point, p.low, p.high);
}

}  // namespace

extern "C" void edgekit_add_u8_scalar(const AddU8* p, const Memory* memory) {
  for (std::int64_t y = 0; y < p->rows; ++y)
    for (std::int64_t x = 0; x < p->columns; ++x) {
      const std::uint8_t* a = at<const std::uint8_t>(memory, p->a) + y * p->a_row_stride + x * p->a_column_stride;
      const std::uint8_t* b = at<const std::uint8_t>(memory, p->b) + y * p->b_row_stride + x * p->b_column_stride;
      std::uint8_t* output =
          at<std::uint8_t>(memory, p->output) + y * p->output_row_stride + x * p->output_column_stride;
      for (int c = 0; c < p->channels; ++c) output[c] = sum_of(*p, a[c], b[c]);
    }
}

}  // namespace edgekit
