#include "common/neon.h"

#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// Where a block's sums go, and how they are brought to their form.
struct Outputs {
  const std::int32_t* bias;
  const float* scale;
  std::uint8_t* levels;  // or null
  float* values;         // or null
  int zero_point, low, high;
};

inline void store(const Outputs& outputs, int n, int count, const Sums16& sums) {
  const Values16 values = scaled(sums, outputs.scale + n);
  if (outputs.values)
    store_values(outputs.values + n, count, values);
  else
    store_levels(outputs.levels + n, count, to_levels(values, outputs.zero_point, outputs.low, outputs.high));
}

// 16 * LANES outputs, of which `count` exist; `weights` of the first of them, in a block that is `width` outputs wide.
// A weight is read once, for one row: it is the weights that are shifted by 128, to u8, and what that adds to a sum,
// 128 times the sum of the inputs, is the same for every output.
template <int LANES>
void some_outputs(const std::uint8_t* input, const std::int8_t* weights, int groups, int width, const Outputs& outputs,
                  int first, int count) {
  uint32x4_t sums[LANES * 4];
  for (int i = 0; i < LANES * 4; ++i) sums[i] = vdupq_n_u32(0);
  uint32x4_t added = vdupq_n_u32(0);
  for (int group = 0; group < groups; ++group, weights += width * 4) {
    const uint8x16_t x = four_levels(input + group * 4);
    added = vdotq_u32(added, x, vdupq_n_u8(128));
    for (int i = 0; i < LANES * 4; ++i) sums[i] = vdotq_u32(sums[i], shifted(vld1q_s8(weights + i * 16)), x);
  }
  for (int lane = 0; lane < LANES; ++lane) {
    const int n = first + lane * kLaneOutputs;
    Sums16 total = load_sums(outputs.bias + n);
    for (int i = 0; i < 4; ++i)
      total.of[i] = vaddq_s32(total.of[i], vreinterpretq_s32_u32(vsubq_u32(sums[lane * 4 + i], added)));
    if (count > lane * kLaneOutputs) store(outputs, n, count - lane * kLaneOutputs, total);
  }
}

}  // namespace

extern "C" void edgekit_dense_u8_neon(const DenseU8* p, const Memory* memory) {
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const int groups = static_cast<int>(round_up(p->inputs, 4) / 4);
  Outputs outputs{at<const std::int32_t>(memory, p->bias),
                  at<const float>(memory, p->scale),
                  at<std::uint8_t>(memory, p->output),
                  at<float>(memory, p->output_f32),
                  p->zero_point,
                  p->low,
                  p->high};
  const std::uint8_t* input = at<const std::uint8_t>(memory, p->input);
  for (int row = 0; row < p->rows; ++row) {
    for (int block = 0; block < p->outputs; block += kBlockOutputs) {
      const std::int8_t* packed = weights + packed_block(block, p->inputs);
      const int width = block_width(p->outputs, block);
      for (int n = 0; n < width; n += 2 * kLaneOutputs) {
        const auto some = width - n > kLaneOutputs ? some_outputs<2> : some_outputs<1>;
        some(input, packed + n * 4, groups, width, outputs, block + n, p->outputs - block - n);
      }
    }
    input += p->input_stride;
    if (outputs.levels) outputs.levels += p->output_stride;
    if (outputs.values) outputs.values += p->output_stride / 4;
  }
}

}  // namespace edgekit
