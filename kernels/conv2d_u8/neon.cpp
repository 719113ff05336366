// Tiles of up to 4 pixels by 16 outputs, whose 16 vectors of sums stay in registers.
#include "common/neon.h"

#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// The first pixel of a tile, and the first of the 16 outputs that are computed.
struct Pixel {
  const std::uint8_t* input;
  const std::uint8_t* residual;  // or null
  std::uint8_t* output;
};

// What the tiles of 16 outputs share. bias: with what centred inputs lack.
struct Outputs {
  const std::int8_t* weights;
  Sums16 bias;
  const float* scale;
  std::int64_t weight_stride;  // bytes between groups of 4 inputs: the width of the block
  std::int64_t groups;         // of a tap
  int count;                   // outputs that exist
};

Sums16 centred_bias(const std::int32_t* bias, const std::int8_t* weights, std::int64_t groups, std::int64_t stride) {
  Sums16 sums = load_sums(bias);
  for (std::int64_t group = 0; group < groups; ++group, weights += stride)
    for (int i = 0; i < 4; ++i) sums.of[i] = with_centre(sums.of[i], vld1q_s8(weights + i * 16));
  return sums;
}

Pixel moved(const Conv2dU8& p, const Pixel& pixel, std::int64_t rows, std::int64_t columns) {
  const std::int64_t residual = rows * p.residual_row_stride + columns * p.residual_column_stride;
  return {pixel.input + rows * p.input_row_stride + columns * p.input_column_stride,
          pixel.residual ? pixel.residual + residual : nullptr,
          pixel.output + rows * p.output_row_stride + columns * p.output_column_stride};
}

inline void finish(const Conv2dU8& p, const Outputs& outputs, const Pixel& pixel, const Sums16& sums) {
  Values16 values = scaled(sums, outputs.scale);
  if (pixel.residual) {
    const Values16 residual = values_of(load_levels(pixel.residual, outputs.count), p.residual_zero_point);
    const float32x4_t scale = vdupq_n_f32(p.residual_scale);
    for (int i = 0; i < 4; ++i) values.of[i] = vfmaq_f32(values.of[i], residual.of[i], scale);
  }
  store_levels(pixel.output, outputs.count, to_levels(values, p.zero_point, p.low, p.high));
}

template <int PIXELS>
void run_tile(const Conv2dU8& p, const Outputs& outputs, const Pixel& pixel) {
  Sums16 sums[PIXELS];
  for (Sums16& each : sums) each = outputs.bias;
  const std::int8_t* weights = outputs.weights;
  for (std::int64_t i = 0; i < p.taps_y; ++i)
    for (std::int64_t j = 0; j < p.taps_x; ++j) {
      const std::uint8_t* tap = pixel.input + i * p.tap_y_stride + j * p.tap_x_stride;
      for (std::int64_t group = 0; group < outputs.groups; ++group, tap += 4, weights += outputs.weight_stride) {
        int8x16_t x[PIXELS];
        for (int pixels = 0; pixels < PIXELS; ++pixels)
          x[pixels] = centred(four_levels(tap + pixels * std::int64_t{p.input_column_stride}));
        for (int part = 0; part < 4; ++part) {
          const int8x16_t four = vld1q_s8(weights + part * 16);
          for (int pixels = 0; pixels < PIXELS; ++pixels)
            sums[pixels].of[part] = vdotq_s32(sums[pixels].of[part], four, x[pixels]);
        }
      }
    }
  for (int pixels = 0; pixels < PIXELS; ++pixels) finish(p, outputs, moved(p, pixel, 0, pixels), sums[pixels]);
}

void run_row(const Conv2dU8& p, const Outputs& outputs, const Pixel& first) {
  int column = 0;
  for (; column + 4 <= p.columns; column += 4) run_tile<4>(p, outputs, moved(p, first, 0, column));
  for (; column < p.columns; ++column) run_tile<1>(p, outputs, moved(p, first, 0, column));
}

}  // namespace

extern "C" void edgekit_conv2d_u8_neon(const Conv2dU8* p, const Memory* memory) {
  Pixel first{at<const std::uint8_t>(memory, p->input), at<const std::uint8_t>(memory, p->residual),
              at<std::uint8_t>(memory, p->output)};
  const std::int64_t groups = round_up(p->tap_bytes, 4) / 4, all_groups = groups * p->taps_y * p->taps_x;
  for (int n = 0; n < p->outputs; n += kLaneOutputs) {
    const int block = n / kBlockOutputs * kBlockOutputs;
    const std::int64_t weight_stride = block_width(p->outputs, block) * 4;
    const std::int8_t* weights =
        at<const std::int8_t>(memory, p->weights) + packed_block(block, all_groups * 4) + (n - block) * 4;
    const Outputs outputs{weights,
                          centred_bias(at<const std::int32_t>(memory, p->bias) + n, weights, all_groups, weight_stride),
                          at<const float>(memory, p->scale) + n,
                          weight_stride,
                          groups,
                          smaller(p->outputs - n, kLaneOutputs)};
    for (int row = 0; row < p->rows; ++row) run_row(*p, outputs, moved(*p, first, row, 0));
    first.output += kLaneOutputs;
    if (first.residual) first.residual += kLaneOutputs;
  }
}

}  // namespace edgekit
