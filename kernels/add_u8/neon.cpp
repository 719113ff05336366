#include "common/neon.h"

#include "common/runs.h"
#include "ops.h"

namespace edgekit {

namespace {

// 16 levels of each addend; in the order of the formula, for fma rounds once.
inline uint8x16_t sum_of(const AddU8& p, uint8x16_t a, uint8x16_t b) {
  Values16 sums = values_of(a, p.a_zero_point);
  const Values16 addends = values_of(b, p.b_zero_point);
  for (int i = 0; i < 4; ++i)
    sums.of[i] = vfmaq_f32(vmulq_n_f32(sums.of[i], p.a_scale), addends.of[i], vdupq_n_f32(p.b_scale));
  return to_levels(sums, p.zero_point, p.low, p.high);
}

}  // namespace

extern "C" void edgekit_add_u8_neon(const AddU8* p, const Memory* memory) {
  const Runs runs = runs_of(p->rows, p->columns, p->channels,
                            {p->a_row_stride, p->a_column_stride, p->b_row_stride, p->b_column_stride,
                             p->output_row_stride, p->output_column_stride});
  for (std::int64_t y = 0; y < runs.rows; ++y)
    for (std::int64_t x = 0; x < runs.columns; ++x) {
      const auto* a = at<const std::uint8_t>(memory, p->a) + y * p->a_row_stride + x * p->a_column_stride;
      const auto* b = at<const std::uint8_t>(memory, p->b) + y * p->b_row_stride + x * p->b_column_stride;
      auto* output = at<std::uint8_t>(memory, p->output) + y * p->output_row_stride + x * p->output_column_stride;
      for (std::int64_t i = 0; i < runs.bytes; i += 16)
        store_levels(output + i, runs.bytes - i, sum_of(*p, vld1q_u8(a + i), vld1q_u8(b + i)));
    }
}

}  // namespace edgekit
