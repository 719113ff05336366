// add_u8 on registers of bytes: what the AVX2 and the AVX-512 rows share.
#pragma once

#include "common/bytes.h"
#include "common/runs.h"
#include "ops.h"

namespace edgekit {

namespace {

// The floats 2^23 + byte are a byte in the low end of one pattern: interleaving makes them, no conversion is needed.
constexpr int kTwoTo23High = 0x4b00;
constexpr float kTwoTo23 = 8388608.0f;

// Floats 2^23 + byte of all bytes, in the order of interleaved bytes.
template <class V>
inline void to_floats(typename V::Ints bytes, typename V::Floats* four) {
  const typename V::Ints high_half = V::all16(kTwoTo23High);
  const typename V::Ints low = V::low8(bytes, V::zero()), high = V::high8(bytes, V::zero());
  four[0] = V::as_float(V::low16(low, high_half));
  four[1] = V::as_float(V::high16(low, high_half));
  four[2] = V::as_float(V::low16(high, high_half));
  four[3] = V::as_float(V::high16(high, high_half));
}

template <class V>
struct Addition {
  using Floats = typename V::Floats;
  Floats a_zero, b_zero, a_scale, b_scale;
  Levels<V> levels;

  explicit Addition(const AddU8& p)
      : a_zero(V::all(kTwoTo23 + static_cast<float>(p.a_zero_point))),
        b_zero(V::all(kTwoTo23 + static_cast<float>(p.b_zero_point))),
        a_scale(V::all(p.a_scale)),
        b_scale(V::all(p.b_scale)),
        levels(p.zero_point, p.low, p.high) {}

  inline typename V::Ints operator()(typename V::Ints a, typename V::Ints b) const {
    Floats first[4], second[4];
    to_floats<V>(once(a), first);
    to_floats<V>(once(b), second);
    for (int g = 0; g < 4; ++g)
      first[g] = V::fma(V::minus(second[g], b_zero), b_scale, V::times(V::minus(first[g], a_zero), a_scale));
    return levels.of(first[0], first[1], first[2], first[3]);
  }
};

template <class V>
void add_run(const AddU8& p, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* output, std::int64_t bytes) {
  const Addition<V> add(p);
  for (; bytes >= V::kBytes; bytes -= V::kBytes, a += V::kBytes, b += V::kBytes, output += V::kBytes)
    V::store(output, add(V::load(a), V::load(b)));
  if (bytes > 0) V::store(output, bytes, add(V::load(a), V::load(b)));
}

template <class V>
void add_images(const AddU8& p, const Memory* memory) {
  const Runs runs = runs_of(p.rows, p.columns, p.channels,
                            {p.a_row_stride, p.a_column_stride, p.b_row_stride, p.b_column_stride, p.output_row_stride,
                             p.output_column_stride});
  for (std::int64_t y = 0; y < runs.rows; ++y)
    for (std::int64_t x = 0; x < runs.columns; ++x)
      add_run<V>(p, at<const std::uint8_t>(memory, p.a) + y * p.a_row_stride + x * p.a_column_stride,
                 at<const std::uint8_t>(memory, p.b) + y * p.b_row_stride + x * p.b_column_stride,
                 at<std::uint8_t>(memory, p.output) + y * p.output_row_stride + x * p.output_column_stride, runs.bytes);
}

}  // namespace

}  // namespace edgekit
