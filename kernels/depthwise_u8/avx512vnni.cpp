#include "common/bytes.h"
#include "ops.h"

// Tuned clones of these spill their sums (GCC 12), and inlining them into the loop over rows does too.
#define EDGEKIT_MICROKERNEL __attribute__((noinline, noclone))

namespace edgekit {

namespace {

inline __m512i dot(__m512i sum, __m512i levels, __m512i weights) { return _mm512_dpbusd_epi32(sum, levels, weights); }
inline __m256i dot(__m256i sum, __m256i levels, __m256i weights) { return _mm256_dpbusd_epi32(sum, levels, weights); }

struct Image {
  const std::uint8_t* input;
  std::uint8_t* output;
};

// Channels `first` to `first + count` - 1 of a call, on registers of 64 or 32 bytes. A narrow image of which several
// pixels fill a register has its channels repeated.
template <class V>
struct Block {
  using Ints = typename V::Ints;
  static constexpr int kLanes = V::kBytes / 16;
  const DepthwiseU8& p;
  const unsigned char *weights, *bias, *scale;
  int first, count;
  std::int64_t offsets[4][kLanes];  // of the values of four channels: those of lane l of register g

  Block(const DepthwiseU8& p_, const Memory* memory, int first_, bool repeated)
      : p(p_),
        weights(at<const unsigned char>(memory, p.weights)),
        bias(at<const unsigned char>(memory, p.bias)),
        scale(at<const unsigned char>(memory, p.scale)),
        first(first_),
        count(smaller(V::kBytes, p.channels - first)) {
    const int last = static_cast<int>(round_up(p.channels, 16)) - 4;
    for (int g = 0; g < 4; ++g)
      for (int lane = 0; lane < kLanes; ++lane) {
        const int channel = first + lane * 16 + g * 4;
        offsets[g][lane] = 4LL * (repeated ? channel % p.channels : smaller(channel, last));
      }
  }

  // Values of 4 bytes for each channel, in the order of interleaved bytes.
  void values(const unsigned char* from, Ints* four) const {
    for (int g = 0; g < 4; ++g) four[g] = V::lanes(from, offsets[g]);
  }
  void taps(int tap_x, int group, Ints* four) const { values(weights + depthwise_group(p, tap_x, group), four); }
};

// What 3 x 3 taps need beside the input.
template <class V>
struct Nine {
  typename V::Ints weights[3][4], bias[4], scale[4];
  Levels<V> levels;

  explicit Nine(const Block<V>& block) : levels(block.p.zero_point, block.p.low, block.p.high) {
    for (int i = 0; i < 3; ++i) block.taps(i, 0, weights[i]);
    block.values(block.bias, bias);
    block.values(block.scale, scale);
  }
};

template <class V>
inline typename V::Ints to_levels(const Levels<V>& levels, const typename V::Ints* sums,
                                  const typename V::Ints* scale) {
  typename V::Floats values[4];
  for (int g = 0; g < 4; ++g) values[g] = V::times(V::to_float(sums[g]), V::as_float(scale[g]));
  return levels.of(values[0], values[1], values[2], values[3]);
}

// Bytes of four taps side by side.
template <class V>
inline void interleave(typename V::Ints a, typename V::Ints b, typename V::Ints c, typename V::Ints d,
                       typename V::Ints* quads) {
  a = once(a), b = once(b), c = once(c), d = once(d);
  const typename V::Ints ab = V::low8(a, b), cd = V::low8(c, d), ab_high = V::high8(a, b), cd_high = V::high8(c, d);
  quads[0] = V::low16(ab, cd);
  quads[1] = V::high16(ab, cd);
  quads[2] = V::low16(ab_high, cd_high);
  quads[3] = V::high16(ab_high, cd_high);
}

// Three rows of a column; the weight of the fourth is zero.
template <class V>
inline void column_of(const std::uint8_t* input, std::int64_t row, typename V::Ints* quads) {
  const typename V::Ints c = once(V::load(input + 2 * row));
  interleave<V>(V::load(input), V::load(input + row), c, c, quads);
}

// A row of outputs of 3 x 3 taps, STEP columns apart: each column of the input is loaded once and goes to the up to
// three outputs that it is part of. `one` and `two`: sums of outputs that have got one and two of their columns.
template <class V, int STEP>
EDGEKIT_MICROKERNEL void slide(const Nine<V>& nine, const DepthwiseU8& p, Image at, int count) {
  typename V::Ints weights[3][4], one[4], two[4], done[4], quads[4];
  for (int i = 0; i < 3; ++i)
    for (int g = 0; g < 4; ++g) weights[i][g] = nine.weights[i][g];
  const Levels<V> levels = nine.levels;
  const std::int64_t row = p.tap_y_stride, step = p.tap_x_stride;
  column_of<V>(at.input, row, quads);
  for (int g = 0; g < 4; ++g) one[g] = dot(nine.bias[g], quads[g], weights[0][g]);
  if (STEP == 1) {
    column_of<V>(at.input += step, row, quads);
    for (int g = 0; g < 4; ++g) two[g] = dot(one[g], quads[g], weights[1][g]);
    for (int g = 0; g < 4; ++g) one[g] = dot(nine.bias[g], quads[g], weights[0][g]);
  }
  for (int x = 0; x < p.columns; ++x, at.output += p.output_column_stride) {
    if (STEP == 2) {
      column_of<V>(at.input += step, row, quads);
      for (int g = 0; g < 4; ++g) two[g] = dot(one[g], quads[g], weights[1][g]);
    }
    column_of<V>(at.input += step, row, quads);
    for (int g = 0; g < 4; ++g) {
      done[g] = dot(two[g], quads[g], weights[2][g]);
      if (STEP == 1) two[g] = dot(one[g], quads[g], weights[1][g]);
      one[g] = dot(nine.bias[g], quads[g], weights[0][g]);
    }
    V::store(at.output, count, to_levels<V>(levels, done, nine.scale));
  }
}

// Which 8 bytes of 16 belong to every second pixel.
inline __m512i even_pixels(int channels) {
  return channels == 8 ? _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14) : _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
}

// 64 bytes of pixels STEP apart, of which `bytes` are in use: of STEP 2, every second pixel of 128 bytes.
template <int STEP, bool WHOLE>
inline __m512i pixels(const std::uint8_t* input, std::int64_t bytes, __m512i even) {
  if (STEP == 1) return _mm512_loadu_si512(input);
  if (WHOLE) return _mm512_permutex2var_epi64(_mm512_loadu_si512(input), even, _mm512_loadu_si512(input + 64));
  const __m512i a = _mm512_maskz_loadu_epi8(Bytes64::first(bytes * 2), input);
  const __m512i b = _mm512_maskz_loadu_epi8(Bytes64::first(bytes * 2 - 64), input + 64);
  return _mm512_permutex2var_epi64(a, even, b);
}

// 64 bytes of outputs, `bytes` of them in use: pixels of 8 or 16 channels that lie side by side.
template <int STEP, bool WHOLE>
inline void several_pixels(const Nine<Bytes64>& nine, const __m512i (&weights)[3][4], const Levels<Bytes64>& levels,
                           const DepthwiseU8& p, Image at, std::int64_t bytes, __m512i even) {
  __m512i sums[4], quads[4];
  for (int i = 0; i < 3; ++i) {
    const std::uint8_t* tap = at.input + i * p.tap_x_stride;
    const __m512i c = pixels<STEP, WHOLE>(tap + 2LL * p.tap_y_stride, bytes, even);
    interleave<Bytes64>(pixels<STEP, WHOLE>(tap, bytes, even), pixels<STEP, WHOLE>(tap + p.tap_y_stride, bytes, even),
                        c, c, quads);
    for (int g = 0; g < 4; ++g) sums[g] = dot(i ? sums[g] : nine.bias[g], quads[g], weights[i][g]);
  }
  Bytes64::store(at.output, WHOLE ? 64 : bytes, to_levels<Bytes64>(levels, sums, nine.scale));
}

template <int STEP>
EDGEKIT_MICROKERNEL void narrow_row(const Nine<Bytes64>& nine, const DepthwiseU8& p, Image at, int) {
  __m512i weights[3][4];
  for (int i = 0; i < 3; ++i)
    for (int g = 0; g < 4; ++g) weights[i][g] = nine.weights[i][g];
  const Levels<Bytes64> levels = nine.levels;
  const __m512i even = even_pixels(p.channels);
  std::int64_t left = static_cast<std::int64_t>(p.columns) * p.channels;
  for (; left >= 64; left -= 64, at.input += STEP * 64, at.output += 64)
    several_pixels<STEP, true>(nine, weights, levels, p, at, 64, even);
  if (left > 0) several_pixels<STEP, false>(nine, weights, levels, p, at, left, even);
}

// Any taps: four of a column at a time, for four outputs, which share the weights.
template <class V>
EDGEKIT_MICROKERNEL void any_taps(const Block<V>& block, Image at, int outputs) {
  const DepthwiseU8& p = block.p;
  typename V::Ints sums[4][4], quads[4], four[4];
  std::int64_t columns[4];  // beyond the last output, the last again
  block.values(block.bias, four);
  for (int x = 0; x < 4; ++x) {
    columns[x] = smaller(x, outputs - 1) * static_cast<std::int64_t>(p.input_column_stride);
    for (int g = 0; g < 4; ++g) sums[x][g] = four[g];
  }
  for (int i = 0; i < p.taps_x; ++i, at.input += p.tap_x_stride)
    for (int j = 0; j < p.taps_y; j += 4) {
      block.taps(i, j / 4, four);
      const std::uint8_t* rows[4];  // beyond the last tap, the last again: its weight is zero
      for (int k = 0; k < 4; ++k)
        rows[k] = at.input + smaller(j + k, p.taps_y - 1) * static_cast<std::int64_t>(p.tap_y_stride);
      for (int x = 0; x < 4; ++x) {
        interleave<V>(V::load(rows[0] + columns[x]), V::load(rows[1] + columns[x]), V::load(rows[2] + columns[x]),
                      V::load(rows[3] + columns[x]), quads);
        for (int g = 0; g < 4; ++g) sums[x][g] = dot(sums[x][g], quads[g], four[g]);
      }
    }
  const Levels<V> levels(p.zero_point, p.low, p.high);
  block.values(block.scale, four);
  for (int x = 0; x < 4; ++x)
    if (x < outputs)
      V::store(at.output + x * static_cast<std::int64_t>(p.output_column_stride), block.count,
               to_levels<V>(levels, sums[x], four));
}

template <class V>
void any_row(const Block<V>& block, Image at) {
  for (int x = 0; x < block.p.columns; x += 4) {
    any_taps(block, at, smaller(4, block.p.columns - x));
    at.input += 4LL * block.p.input_column_stride;
    at.output += 4LL * block.p.output_column_stride;
  }
}

bool is_narrow(const DepthwiseU8& p) {
  return (p.channels == 8 || p.channels == 16) && p.tap_x_stride == p.channels && p.output_column_stride == p.channels;
}

template <class Row>
void each_row(const DepthwiseU8& p, Image at, Row row) {
  for (int y = 0; y < p.rows; ++y, at.input += p.input_row_stride, at.output += p.output_row_stride) row(at);
}

template <class V>
void run_block(const Block<V>& block, Image at) {
  const DepthwiseU8& p = block.p;
  at.input += block.first;
  at.output += block.first;
  const int step = depthwise_step(p);
  if (step == 0) return each_row(p, at, [&](Image row) { any_row(block, row); });
  const Nine<V> nine(block);
  const auto run = step == 1 ? slide<V, 1> : slide<V, 2>;
  each_row(p, at, [&](Image row) { run(nine, p, row, block.count); });
}

void run_narrow(const Block<Bytes64>& block, Image at) {
  const Nine<Bytes64> nine(block);
  const auto run = depthwise_step(block.p) == 1 ? narrow_row<1> : narrow_row<2>;
  each_row(block.p, at, [&](Image row) { run(nine, block.p, row, 64); });
}

}  // namespace

extern "C" void edgekit_depthwise_u8_avx512vnni(const DepthwiseU8* p, const Memory* memory) {
  const Image image{at<const std::uint8_t>(memory, p->input), at<std::uint8_t>(memory, p->output)};
  if (depthwise_step(*p) != 0 && is_narrow(*p)) return run_narrow({*p, memory, 0, true}, image);
  for (int first = 0; first < p->channels; first += 64) {
    if (p->channels - first > 32)
      run_block(Block<Bytes64>(*p, memory, first, false), image);
    else
      run_block(Block<Bytes32>(*p, memory, first, false), image);
  }
}

}  // namespace edgekit
