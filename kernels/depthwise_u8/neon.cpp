// 16 channels at a time. Four taps of a column, each 16 levels, are interleaved until the four levels of a channel lie
// side by side, as the weights do: then one dot product gives the sums of four channels.
#include "common/neon.h"

#include "ops.h"

namespace edgekit {

namespace {

// 16 channels, of which `count` exist. bias: with what centred levels lack.
struct Block {
  const std::int8_t* weights;
  Sums16 bias;
  const float* scale;
  int count;
};

Sums16 centred_bias(const DepthwiseU8& p, const std::int32_t* bias, const std::int8_t* weights) {
  Sums16 sums = load_sums(bias);
  for (int i = 0; i < p.taps_x; ++i)
    for (int j = 0; j < p.taps_y; j += 4)
      for (int part = 0; part < 4; ++part)
        sums.of[part] = with_centre(sums.of[part], vld1q_s8(weights + depthwise_group(p, i, j / 4) + part * 16));
  return sums;
}

struct Levels64 {
  int8x16_t of[4];  // of channels 0 to 3, 4 to 7, 8 to 11 and 12 to 15
};

inline int8x16_t pairs(uint8x16_t a, uint8x16_t b, bool high) {
  const uint16x8_t left = vreinterpretq_u16_u8(a), right = vreinterpretq_u16_u8(b);
  return centred(vreinterpretq_u8_u16(high ? vzip2q_u16(left, right) : vzip1q_u16(left, right)));
}

// Four taps of a column, `stride` bytes apart; of those that do not exist the last one again, which weighs nothing.
inline Levels64 load_taps(const std::uint8_t* input, std::int64_t stride, int taps) {
  uint8x16_t rows[4];
  for (int j = 0; j < 4; ++j) rows[j] = vld1q_u8(input + (j < taps ? j : taps - 1) * stride);
  const uint8x16_t low01 = vzip1q_u8(rows[0], rows[1]), high01 = vzip2q_u8(rows[0], rows[1]);
  const uint8x16_t low23 = vzip1q_u8(rows[2], rows[3]), high23 = vzip2q_u8(rows[2], rows[3]);
  return {{pairs(low01, low23, false), pairs(low01, low23, true), pairs(high01, high23, false),
           pairs(high01, high23, true)}};
}

void run_pixel(const DepthwiseU8& p, const Block& block, const std::uint8_t* input, std::uint8_t* output) {
  Sums16 sums = block.bias;
  for (int i = 0; i < p.taps_x; ++i, input += p.tap_x_stride)
    for (int j = 0; j < p.taps_y; j += 4) {
      const std::int8_t* weights = block.weights + depthwise_group(p, i, j / 4);
      const Levels64 taps =
          load_taps(input + j * std::int64_t{p.tap_y_stride}, p.tap_y_stride, smaller(4, p.taps_y - j));
      for (int part = 0; part < 4; ++part)
        sums.of[part] = vdotq_s32(sums.of[part], vld1q_s8(weights + part * 16), taps.of[part]);
    }
  store_levels(output, block.count, to_levels(scaled(sums, block.scale), p.zero_point, p.low, p.high));
}

}  // namespace

extern "C" void edgekit_depthwise_u8_neon(const DepthwiseU8* p, const Memory* memory) {
  for (int channel = 0; channel < p->channels; channel += 16) {
    const auto* weights = at<const std::int8_t>(memory, p->weights) + channel * 4LL;
    const Block block{weights, centred_bias(*p, at<const std::int32_t>(memory, p->bias) + channel, weights),
                      at<const float>(memory, p->scale) + channel, smaller(16, p->channels - channel)};
    const std::uint8_t* input = at<const std::uint8_t>(memory, p->input) + channel;
    std::uint8_t* output = at<std::uint8_t>(memory, p->output) + channel;
    for (std::int64_t y = 0; y < p->rows; ++y)
      for (std::int64_t x = 0; x < p->columns; ++x)
        run_pixel(*p, block, input + y * p->input_row_stride + x * p->input_column_stride,
                  output + y * p->output_row_stride + x * p->output_column_stride);
  }
}

}  // namespace edgekit
