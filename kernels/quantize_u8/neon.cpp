#include "common/neon.h"

#include <cmath>

#include "ops.h"

namespace edgekit {

namespace {

// NaN gives the least level, as the conversion of x86 does.
inline float32x4_t without_nan(float32x4_t values) {
  return vbslq_f32(vceqq_f32(values, values), values, vdupq_n_f32(-INFINITY));
}

// 16 values, `stride` floats apart, of which `count` exist.
inline Values16 load_values(const float* from, std::int64_t stride, std::int64_t count) {
  float held[16] = {};
  if (stride != 1 || count < 16) {
    for (std::int64_t i = 0; i < 16 && i < count; ++i) held[i] = from[i * stride];
    from = held;
  }
  return {{vld1q_f32(from), vld1q_f32(from + 4), vld1q_f32(from + 8), vld1q_f32(from + 12)}};
}

void run_channels(const QuantizeU8& p, const Walk& walk, const float* input, std::uint8_t* output) {
  const std::int64_t stride = walk.f32_channel / 4;
  for (std::int64_t c = 0; c < walk.channels; c += 16) {
    Values16 values = load_values(input + c * stride, stride, walk.channels - c);
    for (float32x4_t& four : values.of) four = without_nan(vmulq_n_f32(four, p.inverse_scale));
    store_levels(output + c, walk.channels - c, to_levels(values, p.zero_point, 0, 255));
  }
}

}  // namespace

extern "C" void edgekit_quantize_u8_neon(const QuantizeU8* p, const Memory* memory) {
  const Walk walk = merged(walk_of(*p));
  for (std::int64_t row = 0; row < walk.rows; ++row)
    for (std::int64_t column = 0; column < walk.columns; ++column)
      run_channels(*p, walk, at<const float>(memory, p->input) + (row * walk.f32_row + column * walk.f32_column) / 4,
                   at<std::uint8_t>(memory, p->output) + row * walk.u8_row + column * walk.u8_column);
}

}  // namespace edgekit
