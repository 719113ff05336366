#include "common/neon.h"

#include "ops.h"

namespace edgekit {

namespace {

// The largest of the taps of 16 channels.
Sums16 largest_of(const PoolU8& p, const std::uint8_t* input) {
  uint8x16_t largest = vdupq_n_u8(0);
  for (std::int64_t j = 0; j < p.taps_y; ++j)
    for (std::int64_t i = 0; i < p.taps_x; ++i)
      largest = vmaxq_u8(largest, vld1q_u8(input + j * p.tap_y_stride + i * p.tap_x_stride));
  const uint16x8_t low = vmovl_u8(vget_low_u8(largest)), high = vmovl_high_u8(largest);
  return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_high_u16(low)),
           vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_high_u16(high))}};
}

// The sum of the taps of 16 channels.
Sums16 sum_of(const PoolU8& p, const std::uint8_t* input) {
  uint32x4_t sums[4] = {vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0)};
  for (std::int64_t j = 0; j < p.taps_y; ++j)
    for (std::int64_t i = 0; i < p.taps_x; ++i) {
      const uint8x16_t levels = vld1q_u8(input + j * p.tap_y_stride + i * p.tap_x_stride);
      const uint16x8_t low = vmovl_u8(vget_low_u8(levels)), high = vmovl_high_u8(levels);
      sums[0] = vaddw_u16(sums[0], vget_low_u16(low));
      sums[1] = vaddw_high_u16(sums[1], low);
      sums[2] = vaddw_u16(sums[2], vget_low_u16(high));
      sums[3] = vaddw_high_u16(sums[3], high);
    }
  Sums16 found;
  for (int i = 0; i < 4; ++i) found.of[i] = vreinterpretq_s32_u32(sums[i]);
  return found;
}

void run_pixel(const PoolU8& p, const std::uint8_t* input, std::uint8_t* output) {
  const int32x4_t zero = vdupq_n_s32(pool_zero(p));
  for (int c = 0; c < p.channels; c += 16) {
    const Sums16 gathered = p.maximum ? largest_of(p, input + c) : sum_of(p, input + c);
    Values16 values;
    for (int i = 0; i < 4; ++i) values.of[i] = vmulq_n_f32(vcvtq_f32_s32(vsubq_s32(gathered.of[i], zero)), p.scale);
    store_levels(output + c, p.channels - c, to_levels(values, p.zero_point, p.low, p.high));
  }
}

}  // namespace

extern "C" void edgekit_pool_u8_neon(const PoolU8* p, const Memory* memory) {
  const auto* input = at<const std::uint8_t>(memory, p->input);
  auto* output = at<std::uint8_t>(memory, p->output);
  for (std::int64_t y = 0; y < p->rows; ++y)
    for (std::int64_t x = 0; x < p->columns; ++x)
      run_pixel(*p, input + y * p->input_row_stride + x * p->input_column_stride,
                output + y * p->output_row_stride + x * p->output_column_stride);
}

}  // namespace edgekit
