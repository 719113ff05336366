// Tiles of 1 or 2 pixels by 16 outputs. Inputs and weights are widened to 16 bits: the product of bytes that AVX2 has
// (vpmaddubsw) saturates.
#include <immintrin.h>

#include <cstring>

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

// What the tiles of 16 outputs share.
struct Outputs {
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* scale;
  std::int64_t weight_stride;  // bytes between groups of 4 inputs: the width of the block
  std::int64_t groups;
  int count;  // outputs that exist
};

// 4 inputs as 16-bit numbers, four times over.
inline __m256i four_inputs(const std::uint8_t* input) {
  std::int32_t four;
  std::memcpy(&four, input, 4);
  return _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
}

// 4 weights of each of 4 outputs as 16-bit numbers.
inline __m256i four_outputs(const std::int8_t* weights) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
}

// Sums of outputs 0 to 7, from two halves of a sum for each of outputs 0 to 3 and of 4 to 7.
inline __m256i joined(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xd8);
}

inline __m256 with_residual(const Conv2dU8& p, __m128i residual, __m256 value) {
  const __m256i level = _mm256_sub_epi32(_mm256_cvtepu8_epi32(residual), _mm256_set1_epi32(p.residual_zero_point));
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(level), _mm256_set1_ps(p.residual_scale), value);
}

inline __m128i load_levels(const std::uint8_t* from, int count) {
  if (count >= 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  std::uint8_t levels[16] = {};
  std::memcpy(levels, from, static_cast<std::size_t>(count));
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
}

inline void store_levels(std::uint8_t* to, __m128i levels, int count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), levels);
    return;
  }
  std::uint8_t bytes[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), levels);
  std::memcpy(to, bytes, static_cast<std::size_t>(count));
}

// Brings the 16 sums of a pixel, without their bias, to their form.
inline void finish(const Conv2dU8& p, const Outputs& outputs, const Pixel& pixel, __m256i low, __m256i high) {
  const auto* bias = reinterpret_cast<const __m256i*>(outputs.bias);
  low = _mm256_add_epi32(low, _mm256_loadu_si256(bias));
  high = _mm256_add_epi32(high, _mm256_loadu_si256(bias + 1));
  __m256 first = _mm256_mul_ps(_mm256_cvtepi32_ps(low), _mm256_loadu_ps(outputs.scale));
  __m256 second = _mm256_mul_ps(_mm256_cvtepi32_ps(high), _mm256_loadu_ps(outputs.scale + 8));
  if (pixel.residual) {
    const __m128i residual = load_levels(pixel.residual, outputs.count);
    first = with_residual(p, residual, first);
    second = with_residual(p, _mm_srli_si128(residual, 8), second);
  }
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(first), _mm256_cvtps_epi32(second));
  const __m256i rounded =
      _mm256_adds_epi16(_mm256_permute4x64_epi64(packed, 0xd8), _mm256_set1_epi16(static_cast<short>(p.zero_point)));
  const __m128i levels = _mm_packus_epi16(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
  const __m128i clamped = _mm_min_epu8(_mm_max_epu8(levels, _mm_set1_epi8(static_cast<char>(p.low))),
                                       _mm_set1_epi8(static_cast<char>(p.high)));
  store_levels(pixel.output, clamped, outputs.count);
}

Pixel moved(const Conv2dU8& p, const Pixel& pixel, std::int64_t rows, std::int64_t columns) {
  const std::int64_t residual = rows * p.residual_row_stride + columns * p.residual_column_stride;
  return {pixel.input + rows * p.input_row_stride + columns * p.input_column_stride,
          pixel.residual ? pixel.residual + residual : nullptr,
          pixel.output + rows * p.output_row_stride + columns * p.output_column_stride};
}

// noinline, noclone: GCC 12 may spill the sums of a clone.
template <int PIXELS>
__attribute__((noinline, noclone)) void run_tile(const Conv2dU8& p, const Outputs& outputs, const Pixel& pixel) {
  __m256i sums[PIXELS][4];
  for (int i = 0; i < PIXELS; ++i)
    for (int part = 0; part < 4; ++part) sums[i][part] = _mm256_setzero_si256();
  const std::int8_t* weights = outputs.weights;
  const std::int64_t groups = outputs.groups, weight_stride = outputs.weight_stride;
  for (std::int64_t ty = 0; ty < p.taps_y; ++ty) {
    for (std::int64_t tx = 0; tx < p.taps_x; ++tx) {
      const std::uint8_t* input = pixel.input + ty * p.tap_y_stride + tx * p.tap_x_stride;
      for (std::int64_t group = 0; group < groups; ++group) {
        __m256i x[PIXELS];
        for (int i = 0; i < PIXELS; ++i) x[i] = four_inputs(input + i * p.input_column_stride);
        for (int part = 0; part < 4; ++part) {
          const __m256i w = four_outputs(weights + part * 16);
          for (int i = 0; i < PIXELS; ++i) sums[i][part] = _mm256_add_epi32(sums[i][part], _mm256_madd_epi16(x[i], w));
        }
        weights += weight_stride;
        input += 4;
      }
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < PIXELS; ++i)
    finish(p, outputs, moved(p, pixel, 0, i), joined(sums[i][0], sums[i][1]), joined(sums[i][2], sums[i][3]));
}

}  // namespace

extern "C" void edgekit_conv2d_u8_avx2(const Conv2dU8* p, const Memory* memory) {
  Pixel first{at<const std::uint8_t>(memory, p->input), at<const std::uint8_t>(memory, p->residual),
              at<std::uint8_t>(memory, p->output)};
  const std::int64_t groups = round_up(p->tap_bytes, 4) / 4, inputs = groups * 4 * p->taps_y * p->taps_x;
  for (int n = 0; n < p->outputs; n += kLaneOutputs) {
    const int block = n / kBlockOutputs * kBlockOutputs;
    const Outputs outputs{at<const std::int8_t>(memory, p->weights) + packed_block(block, inputs) + (n - block) * 4,
                          at<const std::int32_t>(memory, p->bias) + n,
                          at<const float>(memory, p->scale) + n,
                          block_width(p->outputs, block) * 4,
                          groups,
                          smaller(p->outputs - n, kLaneOutputs)};
    for (int row = 0; row < p->rows; ++row) {
      int column = 0;
      for (; column + 2 <= p->columns; column += 2) run_tile<2>(*p, outputs, moved(*p, first, row, column));
      if (column < p->columns) run_tile<1>(*p, outputs, moved(*p, first, row, column));
    }
    first.output += kLaneOutputs;
    if (first.residual) first.residual += kLaneOutputs;
  }
}

}  // namespace edgekit
