// Tiles of up to 8 neighbouring pixels by 16 or 32 outputs, whose sums stay in registers. The pixels of a tile are one
// address and multiples of the column stride: a pointer for each pixel and tap would cost more than the dot products.
#include <cstring>

#include "common/avx512.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

constexpr int kTilePixels = 8;
constexpr int kTileVectors = 2;

// The first pixel of a tile, and the first of the outputs that are computed.
struct Pixel {
  const std::uint8_t* input;
  const std::uint8_t* residual;  // or null
  std::uint8_t* output;
};

// What the tiles of one or two vectors of outputs share.
struct Outputs {
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* scale;
  std::int64_t weight_stride;  // bytes between groups of 4 inputs: the width of the block
  std::int64_t groups, taps_y, taps_x;
  std::int64_t input_stride, residual_stride, output_stride;  // between columns
  std::int64_t tap_x_step, tap_y_step;                        // from the end of a tap, or of a row of taps, to the next
  __mmask32 exist;                                            // outputs that exist
  bool joined;                                                // pixels of the output follow each other without a gap
  bool clamped;                                               // low and high are tighter than u8
  __m512i zero_point;                                         // 16 bits each
  __m512i low, high;                                          // 8 bits each
  __m512i residual_zero_point;
  __m512 residual_scale;
};

// Reads a field at each use. GCC 12 would read it once and keep it in a vector register, to be read from there behind
// all dot products that wait: addresses and loads of the next tap would come late.
template <class T>
inline T reread(const T& field) {
  return *const_cast<const volatile T*>(&field);
}

inline __m512i four_inputs(const std::uint8_t* input) {
  std::int32_t four;
  std::memcpy(&four, input, 4);
  return _mm512_set1_epi32(four);
}

// 4 x 16 levels, a vector of values in each 128 bits: clamp(round(value) + zero_point, low, high).
inline __m512i levels_of(const Outputs& outputs, const __m512 (&values)[4]) {
  __m512i rounded[4];
  for (int i = 0; i < 4; ++i) rounded[i] = _mm512_cvtps_epi32(values[i]);
  const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(rounded[0], rounded[1]), outputs.zero_point);
  const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(rounded[2], rounded[3]), outputs.zero_point);
  // Packs work within 128 bits and leave the transpose of what is wanted, in units of 4 levels.
  const __m512i transpose = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i levels = _mm512_permutexvar_epi32(transpose, _mm512_packus_epi16(first, second));
  return outputs.clamped ? _mm512_min_epu8(_mm512_max_epu8(levels, outputs.low), outputs.high) : levels;
}

template <int PART>
inline __m128i part_of(__m512i levels) {
  return PART ? _mm512_extracti32x4_epi32(levels, PART) : _mm512_castsi512_si128(levels);
}

template <int PIXELS, int VECTORS>
struct Tile {
  static constexpr int kAtOnce = 4 / VECTORS;  // pixels that are rounded together

  static inline __m512 with_residual(const Outputs& outputs, const Pixel& pixel, int index, __m512 value) {
    const int p = index / VECTORS, v = index % VECTORS;
    const std::uint8_t* residual = pixel.residual + p * outputs.residual_stride + v * 16;
    const __m128i levels = _mm_maskz_loadu_epi8(static_cast<__mmask16>(outputs.exist >> (v * 16)), residual);
    const __m512i level = _mm512_sub_epi32(_mm512_cvtepu8_epi32(levels), outputs.residual_zero_point);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(level), outputs.residual_scale, value);
  }

  // Writes `pixels` <= kAtOnce pixels.
  static inline void write(const Outputs& outputs, std::uint8_t* to, __m512i levels, int pixels) {
    const std::int64_t stride = outputs.output_stride;
    const __mmask32 exist = outputs.exist;
    if (outputs.joined) {
      _mm512_mask_storeu_epi8(to, ~0ull >> (64 - pixels * VECTORS * 16), levels);
    } else if (VECTORS == 2) {
      _mm256_mask_storeu_epi8(to, exist, _mm512_castsi512_si256(levels));
      if (pixels > 1) _mm256_mask_storeu_epi8(to + stride, exist, _mm512_extracti64x4_epi64(levels, 1));
    } else {
      const __mmask16 mask = static_cast<__mmask16>(exist);
      _mm_mask_storeu_epi8(to, mask, part_of<0>(levels));
      if (pixels > 1) _mm_mask_storeu_epi8(to + stride, mask, part_of<1>(levels));
      if (pixels > 2) _mm_mask_storeu_epi8(to + 2 * stride, mask, part_of<2>(levels));
      if (pixels > 3) _mm_mask_storeu_epi8(to + 3 * stride, mask, part_of<3>(levels));
    }
  }

  // Brings kAtOnce pixels from `first` on, or what is left, to their form.
  static inline void finish(const Outputs& outputs, const Pixel& pixel, int first,
                            const __m512i (&sums)[PIXELS * VECTORS]) {
    const int pixels = first + kAtOnce > PIXELS ? PIXELS - first : kAtOnce;
    __m512 values[4];
    for (int i = 0; i < 4; ++i) {
      values[i] = i < pixels * VECTORS ? _mm512_mul_ps(_mm512_cvtepi32_ps(sums[first * VECTORS + i]),
                                                       _mm512_loadu_ps(outputs.scale + i % VECTORS * 16))
                                       : _mm512_setzero_ps();
    }
    if (pixel.residual)
      for (int i = 0; i < pixels * VECTORS; ++i)
        values[i] = with_residual(outputs, pixel, first * VECTORS + i, values[i]);
    write(outputs, pixel.output + first * outputs.output_stride, levels_of(outputs, values), pixels);
  }

  // noinline, noclone: GCC 12 clones it for constants otherwise, and spills the sums.
  __attribute__((noinline, noclone)) static void run(const Outputs& outputs, const Pixel& pixel) {
    __m512i sums[PIXELS * VECTORS];
    for (int i = 0; i < PIXELS * VECTORS; ++i) sums[i] = _mm512_loadu_si512(outputs.bias + i % VECTORS * 16);
    const std::uint8_t* input = pixel.input;
    const std::int8_t* weights = outputs.weights;
    const std::int64_t weight_stride = outputs.weight_stride, input_stride = outputs.input_stride;
    for (std::int64_t i = reread(outputs.taps_y); i > 0; --i) {
      for (std::int64_t j = reread(outputs.taps_x); j > 0; --j) {
        for (std::int64_t group = reread(outputs.groups); group > 0; --group) {
          __m512i w[VECTORS];
          for (int v = 0; v < VECTORS; ++v) w[v] = _mm512_loadu_si512(weights + v * 64);
          for (int p = 0; p < PIXELS; ++p) {
            const __m512i x = four_inputs(input + p * input_stride);
            for (int v = 0; v < VECTORS; ++v)
              sums[p * VECTORS + v] = _mm512_dpbusd_epi32(sums[p * VECTORS + v], x, w[v]);
          }
          weights += weight_stride;
          input += 4;
        }
        input += reread(outputs.tap_x_step);
      }
      input += reread(outputs.tap_y_step);
    }
#pragma GCC unroll 8
    for (int p = 0; p < PIXELS; p += kAtOnce) finish(outputs, pixel, p, sums);
  }
};

using RunTile = void (*)(const Outputs&, const Pixel&);

#define EDGEKIT_TILES(vectors)                                                                 \
  {Tile<1, vectors>::run, Tile<2, vectors>::run, Tile<3, vectors>::run, Tile<4, vectors>::run, \
   Tile<5, vectors>::run, Tile<6, vectors>::run, Tile<7, vectors>::run, Tile<kTilePixels, vectors>::run}

const RunTile kTiles[kTileVectors][kTilePixels] = {EDGEKIT_TILES(1), EDGEKIT_TILES(2)};

Pixel moved(const Conv2dU8& p, const Pixel& pixel, std::int64_t rows, std::int64_t columns) {
  const std::int64_t residual = rows * p.residual_row_stride + columns * p.residual_column_stride;
  return {pixel.input + rows * p.input_row_stride + columns * p.input_column_stride,
          pixel.residual ? pixel.residual + residual : nullptr,
          pixel.output + rows * p.output_row_stride + columns * p.output_column_stride};
}

// Some outputs of all pixels. The tiles of a row are as wide as each other, or one pixel less.
void run_tiles(const Conv2dU8& p, const Pixel& first, const Outputs& outputs, const RunTile (&tiles)[kTilePixels]) {
  const int count = (p.columns + kTilePixels - 1) / kTilePixels;
  const int width = p.columns / count, wider = p.columns % count;
  for (int row = 0; row < p.rows; ++row) {
    Pixel pixel = moved(p, first, row, 0);
    for (int tile = 0; tile < count; ++tile) {
      const int pixels = width + (tile < wider);
      tiles[pixels - 1](outputs, pixel);
      pixel = moved(p, pixel, 0, pixels);
    }
  }
}

Outputs outputs_of(const Conv2dU8& p) {
  Outputs outputs{};
  outputs.groups = round_up(p.tap_bytes, 4) / 4;
  outputs.taps_y = p.taps_y;
  outputs.taps_x = p.taps_x;
  outputs.input_stride = p.input_column_stride;
  outputs.residual_stride = p.residual_column_stride;
  outputs.output_stride = p.output_column_stride;
  outputs.tap_x_step = p.tap_x_stride - outputs.groups * 4;
  outputs.tap_y_step = p.tap_y_stride - std::int64_t{p.taps_x} * p.tap_x_stride;
  outputs.clamped = p.low > 0 || p.high < 255;
  outputs.zero_point = _mm512_set1_epi16(static_cast<short>(p.zero_point));
  outputs.low = _mm512_set1_epi8(static_cast<char>(p.low));
  outputs.high = _mm512_set1_epi8(static_cast<char>(p.high));
  outputs.residual_zero_point = _mm512_set1_epi32(p.residual_zero_point);
  outputs.residual_scale = _mm512_set1_ps(p.residual_scale);
  return outputs;
}

}  // namespace

extern "C" void edgekit_conv2d_u8_avx512vnni(const Conv2dU8* p, const Memory* memory) {
  Outputs outputs = outputs_of(*p);
  Pixel pixel{at<const std::uint8_t>(memory, p->input), at<const std::uint8_t>(memory, p->residual),
              at<std::uint8_t>(memory, p->output)};
  const std::int64_t inputs = outputs.taps_y * outputs.taps_x * outputs.groups * 4;
  for (int first = 0, count = 0; first < p->outputs; first += count) {
    const int block = first / kBlockOutputs * kBlockOutputs, width = block_width(p->outputs, block);
    const int vectors = smaller(kTileVectors, (block + width - first) / kLaneOutputs);
    count = smaller(p->outputs - first, vectors * kLaneOutputs);
    outputs.weights = at<const std::int8_t>(memory, p->weights) + packed_block(block, inputs) + (first - block) * 4;
    outputs.weight_stride = width * 4;
    outputs.bias = at<const std::int32_t>(memory, p->bias) + first;
    outputs.scale = at<const float>(memory, p->scale) + first;
    outputs.exist = ~0u >> (32 - count);
    outputs.joined = count == vectors * kLaneOutputs && p->output_column_stride == count;
    run_tiles(*p, pixel, outputs, kTiles[vectors - 1]);
    pixel.output += count;
    if (pixel.residual) pixel.residual += count;
  }
}

}  // namespace edgekit
