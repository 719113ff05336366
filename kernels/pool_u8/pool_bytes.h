// pool_u8 on registers of bytes: what the AVX2 and the AVX-512 rows share.
#pragma once

#include "common/bytes.h"
#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

namespace {

// Sums of bytes: 16 bits wide for 256 taps at most, then added to sums of 32 bits. `all` takes bytes in pairs: what
// the upper ones add to it is known from `odd`.
template <class V>
struct Sums {
  using Ints = typename V::Ints;
  static constexpr int kMost = 256;
  Ints wide[4], all = V::zero(), odd = V::zero();
  int taken = 0;

  explicit Sums(int zero) {
    for (int g = 0; g < 4; ++g) wide[g] = V::all32(-zero);
  }
  inline void flush() {
    const Ints even = V::minus16(all, V::left8(odd));
    const Ints low = V::low16(even, odd), high = V::high16(even, odd);
    wide[0] = V::plus32(wide[0], V::low16(low, V::zero()));
    wide[1] = V::plus32(wide[1], V::high16(low, V::zero()));
    wide[2] = V::plus32(wide[2], V::low16(high, V::zero()));
    wide[3] = V::plus32(wide[3], V::high16(high, V::zero()));
    all = odd = V::zero();
    taken = 0;
  }
};

template <class V>
inline typename V::Ints average(const PoolU8& p, const Levels<V>& levels, const std::uint8_t* input) {
  Sums<V> sums(pool_zero(p));
  for (int j = 0; j < p.taps_y; ++j, input += p.tap_y_stride) {
    const std::uint8_t* tap = input;
    for (int i = 0; i < p.taps_x;) {
      const int run = smaller(p.taps_x - i, sums.kMost - sums.taken);
      for (int end = i + run; i < end; ++i, tap += p.tap_x_stride) {
        const typename V::Ints bytes = once(V::load(tap));
        sums.all = V::plus16(sums.all, bytes);
        sums.odd = V::plus16(sums.odd, V::right8(bytes));
      }
      sums.taken += run;
      if (sums.taken == sums.kMost) sums.flush();
    }
  }
  sums.flush();
  return levels.of_scaled(sums.wide, V::all(p.scale));
}

template <class V>
inline typename V::Ints maximum(const PoolU8& p, const Levels<V>& levels, const std::uint8_t* input) {
  typename V::Ints most = V::zero();
  for (int j = 0; j < p.taps_y; ++j, input += p.tap_y_stride) {
    const std::uint8_t* tap = input;
    for (int i = 0; i < p.taps_x; ++i, tap += p.tap_x_stride) most = V::max8(most, V::load(tap));
  }
  if (p.scale == 1.0f && p.input_zero_point == p.zero_point) return V::clamp8(most, levels.low, levels.high);
  const typename V::Ints zero = V::zero(), less = V::all32(-p.input_zero_point);
  const typename V::Ints low = V::low8(most, zero), high = V::high8(most, zero);
  const typename V::Ints wide[4] = {V::plus32(V::low16(low, zero), less), V::plus32(V::high16(low, zero), less),
                                    V::plus32(V::low16(high, zero), less), V::plus32(V::high16(high, zero), less)};
  return levels.of_scaled(wide, V::all(p.scale));
}

// The first `count` channels of a row of outputs.
template <class V, bool MAXIMUM>
void pool_row(const PoolU8& p, const std::uint8_t* input, std::uint8_t* output, int count) {
  const Levels<V> levels(p.zero_point, p.low, p.high);
  for (int x = 0; x < p.columns; ++x, input += p.input_column_stride, output += p.output_column_stride)
    V::store(output, count, MAXIMUM ? maximum<V>(p, levels, input) : average<V>(p, levels, input));
}

template <class V>
void pool_channels(const PoolU8& p, const Memory* memory, int first) {
  const std::uint8_t* input = at<const std::uint8_t>(memory, p.input) + first;
  std::uint8_t* output = at<std::uint8_t>(memory, p.output) + first;
  const auto run = p.maximum ? pool_row<V, true> : pool_row<V, false>;
  for (int y = 0; y < p.rows; ++y, input += p.input_row_stride, output += p.output_row_stride)
    run(p, input, output, p.channels - first);
}

}  // namespace

}  // namespace edgekit
