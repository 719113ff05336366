#include <immintrin.h>

#include <cstring>

#include "ops.h"

// Tuned clones of these spill their sums (GCC 12), and inlining them into the loop over rows does too.
#define EDGEKIT_MICROKERNEL __attribute__((noinline, noclone))

namespace edgekit {

namespace {

// 16 channels of 32 bits each as interleaved 16-bit numbers have them: 0 to 3 and 8 to 11, 4 to 7 and 12 to 15.
struct Sixteen {
  __m256i low, high;
};

inline __m256i two_lanes(const void* a, const void* b) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(a))),
                                 _mm_loadu_si128(static_cast<const __m128i*>(b)), 1);
}

inline Sixteen load(const void* values) {
  const auto* from = static_cast<const unsigned char*>(values);
  return {two_lanes(from, from + 32), two_lanes(from + 16, from + 48)};
}

// 8-bit weights of four taps: the first two as 16-bit pairs, then the other two.
struct Pairs {
  Sixteen first, second;
};

inline __m256i widen(__m256i weights, int pair) {
  const __m256i to_high_bytes = pair == 0 ? _mm256_set1_epi32(0x01800080) : _mm256_set1_epi32(0x03800280);
  const __m256i channel =
      _mm256_setr_epi32(0, 0x04000400, 0x08000800, 0x0c000c00, 0, 0x04000400, 0x08000800, 0x0c000c00);
  return _mm256_srai_epi16(_mm256_shuffle_epi8(weights, _mm256_add_epi32(to_high_bytes, channel)), 8);
}

inline Pairs load_pairs(const std::int8_t* weights) {
  const Sixteen four = load(weights);
  return {{widen(four.low, 0), widen(four.high, 0)}, {widen(four.low, 1), widen(four.high, 1)}};
}

inline __m256i levels_of(const std::uint8_t* input) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(input)));
}

inline Sixteen interleave(__m256i a, __m256i b) { return {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)}; }

// Products of 16 bits: pairs of 8-bit products would saturate.
inline Sixteen dot(Sixteen sums, Sixteen levels, Sixteen weights) {
  return {_mm256_add_epi32(sums.low, _mm256_madd_epi16(levels.low, weights.low)),
          _mm256_add_epi32(sums.high, _mm256_madd_epi16(levels.high, weights.high))};
}

struct Image {
  const std::uint8_t* input;
  std::uint8_t* output;
};

// Channels `first` to `first + count` - 1 of a call, 16 at most.
struct Block {
  const DepthwiseU8& p;
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* scale;
  int count;

  Block(const DepthwiseU8& p_, const Memory* memory, int first)
      : p(p_),
        weights(at<const std::int8_t>(memory, p.weights) + first * 4LL),
        bias(at<const std::int32_t>(memory, p.bias) + first),
        scale(at<const float>(memory, p.scale) + first),
        count(smaller(16, p.channels - first)) {}

  Pairs taps(int tap_x, int group) const { return load_pairs(weights + depthwise_group(p, tap_x, group)); }
};

// Stores the first `count` bytes, less than 16.
inline void store_first(std::uint8_t* to, int count, __m128i bytes) {
  std::uint64_t eight = static_cast<std::uint64_t>(_mm_cvtsi128_si64(bytes));
  if (count & 8) {
    std::memcpy(to, &eight, 8);
    to += 8;
    eight = static_cast<std::uint64_t>(_mm_extract_epi64(bytes, 1));
  }
  for (int i = 0; i < (count & 7); ++i, eight >>= 8) to[i] = static_cast<std::uint8_t>(eight);
}

inline void store(const Block& block, std::uint8_t* output, Sixteen sums, Sixteen scale) {
  const DepthwiseU8& p = block.p;
  const __m256 low = _mm256_mul_ps(_mm256_cvtepi32_ps(sums.low), _mm256_castsi256_ps(scale.low));
  const __m256 high = _mm256_mul_ps(_mm256_cvtepi32_ps(sums.high), _mm256_castsi256_ps(scale.high));
  const __m256i rounded = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
  const __m256i level = _mm256_adds_epi16(rounded, _mm256_set1_epi16(static_cast<short>(p.zero_point)));
  const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi16(level, level), 0x08);
  const __m128i above = _mm_max_epu8(_mm256_castsi256_si128(both), _mm_set1_epi8(static_cast<char>(p.low)));
  const __m128i bytes = _mm_min_epu8(above, _mm_set1_epi8(static_cast<char>(p.high)));
  if (block.count == 16)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output), bytes);
  else
    store_first(output, block.count, bytes);
}

// Three rows of a column: the first two side by side, and the third with itself, the second of which weighs nothing.
struct Column {
  Sixteen first, second;

  Column(const std::uint8_t* input, std::int64_t row) {
    const __m256i third = levels_of(input + 2 * row);
    first = interleave(levels_of(input), levels_of(input + row));
    second = interleave(third, third);
  }
};

inline Sixteen dot(Sixteen sums, const Column& column, const Pairs& weights) {
  return dot(dot(sums, column.first, weights.first), column.second, weights.second);
}

// A row of outputs of 3 x 3 taps, STEP columns apart: each column of the input is loaded once and goes to the up to
// three outputs that it is part of. `one` and `two`: sums of outputs that have got one and two of their columns.
template <int STEP>
EDGEKIT_MICROKERNEL void slide(const Block& block, const Pairs* weights, Image at) {
  const DepthwiseU8& p = block.p;
  const std::int64_t row = p.tap_y_stride, step = p.tap_x_stride;
  const Sixteen bias = load(block.bias), scale = load(block.scale);
  Sixteen one = dot(bias, Column(at.input, row), weights[0]), two = one;
  if (STEP == 1) {
    const Column column(at.input += step, row);
    two = dot(one, column, weights[1]);
    one = dot(bias, column, weights[0]);
  }
  for (int x = 0; x < p.columns; ++x, at.output += p.output_column_stride) {
    if (STEP == 2) two = dot(one, Column(at.input += step, row), weights[1]);
    const Column column(at.input += step, row);
    const Sixteen done = dot(two, column, weights[2]);
    if (STEP == 1) two = dot(one, column, weights[1]);
    one = dot(bias, column, weights[0]);
    store(block, at.output, done, scale);
  }
}

// Any taps: four of a column at a time, for four outputs, which share the weights.
EDGEKIT_MICROKERNEL void any_taps(const Block& block, Image at, int outputs) {
  const DepthwiseU8& p = block.p;
  Sixteen sums[4];
  std::int64_t columns[4];  // beyond the last output, the last again
  for (int x = 0; x < 4; ++x) {
    columns[x] = smaller(x, outputs - 1) * static_cast<std::int64_t>(p.input_column_stride);
    sums[x] = load(block.bias);
  }
  for (int i = 0; i < p.taps_x; ++i, at.input += p.tap_x_stride)
    for (int j = 0; j < p.taps_y; j += 2) {
      const Pairs four = block.taps(i, j / 4);
      const Sixteen weights = j % 4 == 0 ? four.first : four.second;
      const std::uint8_t* a = at.input + j * static_cast<std::int64_t>(p.tap_y_stride);
      const std::uint8_t* b = j + 1 < p.taps_y ? a + p.tap_y_stride : a;  // a again weighs nothing
      for (int x = 0; x < 4; ++x)
        sums[x] = dot(sums[x], interleave(levels_of(a + columns[x]), levels_of(b + columns[x])), weights);
    }
  const Sixteen scale = load(block.scale);
  for (int x = 0; x < 4; ++x)
    if (x < outputs) store(block, at.output + x * static_cast<std::int64_t>(p.output_column_stride), sums[x], scale);
}

void any_row(const Block& block, Image at) {
  for (int x = 0; x < block.p.columns; x += 4) {
    any_taps(block, at, smaller(4, block.p.columns - x));
    at.input += 4LL * block.p.input_column_stride;
    at.output += 4LL * block.p.output_column_stride;
  }
}

template <class Row>
void each_row(const DepthwiseU8& p, Image at, Row row) {
  for (int y = 0; y < p.rows; ++y, at.input += p.input_row_stride, at.output += p.output_row_stride) row(at);
}

void run_block(const Block& block, Image at) {
  const int step = depthwise_step(block.p);
  if (step == 0) return each_row(block.p, at, [&](Image row) { any_row(block, row); });
  const Pairs weights[3] = {block.taps(0, 0), block.taps(1, 0), block.taps(2, 0)};
  const auto run = step == 1 ? slide<1> : slide<2>;
  each_row(block.p, at, [&](Image row) { run(block, weights, row); });
}

}  // namespace

extern "C" void edgekit_depthwise_u8_avx2(const DepthwiseU8* p, const Memory* memory) {
  const Image image{at<const std::uint8_t>(memory, p->input), at<std::uint8_t>(memory, p->output)};
  for (int first = 0; first < p->channels; first += 16)
    run_block(Block(*p, memory, first), {image.input + first, image.output + first});
}

}  // namespace edgekit
