// Tiles of STARTS x COLUMNS pixels by VECTORS * 16 outputs, whose sums stay in registers. A tile takes STARTS
// addresses, of one output row or of several, and COLUMNS neighbouring pixels from each: narrow images fill tiles all
// the same, and no pixel needs a pointer of its own.
#include <cstdlib>
#include <cstring>

#include "common/avx512.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// Where COLUMNS neighbouring pixels begin.
struct Start {
  const std::uint8_t* input;
  const std::uint8_t* residual;  // or null
  std::uint8_t* output;
};

// What the tiles of some outputs share.
struct Outputs {
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* scale;
  std::int64_t weight_stride;  // bytes between groups of 4 inputs: as wide as the block in memory is
  int groups, taps_y, taps_x;
  std::int64_t column_stride, tap_x_step, tap_y_step;  // the steps lead from the end of a tap to the next one
  std::int64_t residual_stride, output_stride;         // between columns
  __mmask64 exist;                                     // outputs that exist
  __m512i zero_point;                                  // 16 bits each
  __m512i low, high;                                   // 8 bits each
  __m512i residual_zero_point;
  __m512 residual_scale;
};

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
  return _mm512_min_epu8(_mm512_max_epu8(levels, outputs.low), outputs.high);
}

inline __m512 residual_values(const Outputs& outputs, const std::uint8_t* residual, int vector) {
  const __mmask16 exist = static_cast<__mmask16>(outputs.exist >> (vector * 16));
  const __m512i level = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(exist, residual + vector * 16));
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(level, outputs.residual_zero_point));
}

template <int STARTS, int COLUMNS, int VECTORS>
struct Tile {
  static constexpr int kPixels = STARTS * COLUMNS;
  static constexpr int kStored = VECTORS == 1 ? 4 : VECTORS == 2 ? 2 : 1;  // pixels that are rounded at once

  static inline void store_pixel(const Outputs& outputs, const Start* starts, int pixel, __m512i levels, int position) {
    std::uint8_t* to = starts[pixel / COLUMNS].output + pixel % COLUMNS * outputs.output_stride;
    if (VECTORS > 2)
      _mm512_mask_storeu_epi8(to, outputs.exist, levels);
    else if (VECTORS == 2)
      _mm256_mask_storeu_epi8(to, static_cast<__mmask32>(outputs.exist),
                              position ? _mm512_extracti64x4_epi64(levels, 1) : _mm512_castsi512_si256(levels));
    else
      _mm_mask_storeu_epi8(to, static_cast<__mmask16>(outputs.exist),
                           position == 0   ? _mm512_castsi512_si128(levels)
                           : position == 1 ? _mm512_extracti32x4_epi32(levels, 1)
                           : position == 2 ? _mm512_extracti32x4_epi32(levels, 2)
                                           : _mm512_extracti32x4_epi32(levels, 3));
  }

  // Requantizes and writes kStored pixels from `first` on.
  static inline void store(const Outputs& outputs, const Start* starts, int first,
                           const __m512i (&sums)[kPixels * VECTORS]) {
    __m512 values[4];
    for (int i = 0; i < 4; ++i) {
      const int pixel = first + i / VECTORS;
      values[i] = i >= kStored * VECTORS || pixel >= kPixels
                      ? _mm512_setzero_ps()
                      : _mm512_mul_ps(_mm512_cvtepi32_ps(sums[first * VECTORS + i]),
                                      _mm512_loadu_ps(outputs.scale + i % VECTORS * 16));
    }
    if (starts->residual) {
      for (int i = 0; i < kStored * VECTORS && first + i / VECTORS < kPixels; ++i) {
        const int pixel = first + i / VECTORS;
        const std::uint8_t* residual = starts[pixel / COLUMNS].residual + pixel % COLUMNS * outputs.residual_stride;
        values[i] = _mm512_fmadd_ps(residual_values(outputs, residual, i % VECTORS), outputs.residual_scale, values[i]);
      }
    }
    const __m512i levels = levels_of(outputs, values);
    for (int i = 0; i < kStored && first + i < kPixels; ++i) store_pixel(outputs, starts, first + i, levels, i);
  }

  // noinline, noclone: GCC 12 clones it for constants otherwise, and spills the sums.
  __attribute__((noinline, noclone)) static void run(const Outputs& outputs, const Start* starts) {
    const std::uint8_t* input[STARTS];
    for (int s = 0; s < STARTS; ++s) input[s] = starts[s].input;
    __m512i sums[kPixels * VECTORS];
    for (int i = 0; i < kPixels * VECTORS; ++i) sums[i] = _mm512_loadu_si512(outputs.bias + i % VECTORS * 16);
    const std::int8_t* weights = outputs.weights;
    const std::int64_t weight_stride = outputs.weight_stride, column_stride = outputs.column_stride;
    for (int i = 0; i < outputs.taps_y; ++i) {
      for (int j = 0; j < outputs.taps_x; ++j) {
        for (int group = 0; group < outputs.groups; ++group) {
          __m512i w[VECTORS];
          for (int v = 0; v < VECTORS; ++v) w[v] = _mm512_loadu_si512(weights + v * 64);
          weights += weight_stride;
          for (int s = 0; s < STARTS; ++s) {
#pragma GCC unroll 8
            for (int c = 0; c < COLUMNS; ++c) {
              const __m512i x = four_inputs(input[s] + column_stride * c);
              for (int v = 0; v < VECTORS; ++v) {
                __m512i& sum = sums[(s * COLUMNS + c) * VECTORS + v];
                sum = _mm512_dpbusd_epi32(sum, x, w[v]);
              }
            }
            input[s] += 4;
          }
        }
        for (int s = 0; s < STARTS; ++s) input[s] += outputs.tap_x_step;
      }
      for (int s = 0; s < STARTS; ++s) input[s] += outputs.tap_y_step;
    }
#pragma GCC unroll 24
    for (int p = 0; p < kPixels; p += kStored) store(outputs, starts, p, sums);
  }
};

using RunTile = void (*)(const Outputs&, const Start*);

#define TILES(starts, vectors)                                                                     \
  {                                                                                                \
      Tile<starts, 1, vectors>::run, Tile<starts, 2, vectors>::run, Tile<starts, 3, vectors>::run, \
      Tile<starts, 4, vectors>::run, Tile<starts, 5, vectors>::run, Tile<starts, 6, vectors>::run, \
  }
#define TILES8(starts, vectors)                                                                 \
  {Tile<starts, 1, vectors>::run, Tile<starts, 2, vectors>::run, Tile<starts, 3, vectors>::run, \
   Tile<starts, 4, vectors>::run, Tile<starts, 5, vectors>::run, Tile<starts, 6, vectors>::run, \
   Tile<starts, 7, vectors>::run, Tile<starts, 8, vectors>::run}

const RunTile kTiles[4][3][8] = {
    {TILES8(1, 1), TILES8(2, 1), TILES8(3, 1)}, {TILES8(1, 2), TILES(2, 2)}, {TILES8(1, 3)}, {TILES(1, 4)}};

struct Conv {
  const Conv2dU8& p;
  const std::uint8_t* input;
  const std::uint8_t* residual;
  std::uint8_t* output;

  Start at(std::int64_t row, std::int64_t column) const {
    return {input + row * p.input_row_stride + column * p.input_column_stride,
            residual ? residual + row * p.residual_row_stride + column * p.residual_column_stride : nullptr,
            output + row * p.output_row_stride + column * p.output_column_stride};
  }
};

// Runs tiles over `count` strips of `width` columns, from column `from` on, in every row.
void strips(const Conv& conv, const Outputs& outputs, int vectors, int starts, int from, int count, int width) {
  if (!width) return;
  Start tile[3];
  int filled = 0;
  const RunTile run = kTiles[vectors - 1][starts - 1][width - 1];
  for (int row = 0; row < conv.p.rows; ++row) {
    for (int strip = 0; strip < count; ++strip) {
      tile[filled++] = conv.at(row, from + strip * width);
      if (filled < starts) continue;
      run(outputs, tile);
      filled = 0;
    }
  }
  if (filled) kTiles[vectors - 1][filled - 1][width - 1](outputs, tile);
}

void cover(const Conv& conv, const Outputs& outputs, int vectors, int starts, int widest) {
  const int count = (conv.p.columns + widest - 1) / widest;
  const int width = conv.p.columns / count, wider = conv.p.columns % count;
  strips(conv, outputs, vectors, starts, 0, wider, width + 1);
  strips(conv, outputs, vectors, starts, wider * (width + 1), count - wider, width);
}

}  // namespace

extern "C" void edgekit_conv2d_u8_avx512vnni(const Conv2dU8* p, const Memory* memory) {
  Conv conv{*p, at<const std::uint8_t>(memory, p->input), at<const std::uint8_t>(memory, p->residual),
            at<std::uint8_t>(memory, p->output)};
  const int groups = static_cast<int>(round_up(p->tap_bytes, 4) / 4);
  const std::int64_t inputs = std::int64_t{p->taps_y} * p->taps_x * groups * 4;
  Outputs outputs{};
  outputs.groups = groups;
  outputs.taps_y = p->taps_y;
  outputs.taps_x = p->taps_x;
  outputs.column_stride = p->input_column_stride;
  outputs.tap_x_step = p->tap_x_stride - groups * 4;
  outputs.tap_y_step = p->tap_y_stride - std::int64_t{p->tap_x_stride} * p->taps_x;
  outputs.residual_stride = p->residual_column_stride;
  outputs.output_stride = p->output_column_stride;
  outputs.zero_point = _mm512_set1_epi16(static_cast<short>(p->zero_point));
  outputs.low = _mm512_set1_epi8(static_cast<char>(p->low));
  outputs.high = _mm512_set1_epi8(static_cast<char>(p->high));
  outputs.residual_zero_point = _mm512_set1_epi32(p->residual_zero_point);
  outputs.residual_scale = _mm512_set1_ps(p->residual_scale);
  static const int VV = getenv("VV") ? atoi(getenv("VV")) : 4, SS = getenv("SS") ? atoi(getenv("SS")) : 1,
                   WW = getenv("WW") ? atoi(getenv("WW")) : 6;
  for (int first = 0; first < p->outputs; first += kBlockOutputs) {
    const int width = block_width(p->outputs, first);
    for (int part = 0; part < width; part += 16 * VV) {
      const int vectors = smaller(VV, (width - part) / 16);
      outputs.weights = at<const std::int8_t>(memory, p->weights) + packed_block(first, inputs) + part * 4;
      outputs.bias = at<const std::int32_t>(memory, p->bias) + first + part;
      outputs.scale = at<const float>(memory, p->scale) + first + part;
      outputs.weight_stride = width * 4;
      const int count = smaller(p->outputs - first - part, vectors * 16);
      outputs.exist = count >= 64 ? ~0ull : (1ull << count) - 1;
      cover(conv, outputs, vectors, SS, WW);
      conv.output += vectors * 16;
      if (conv.residual) conv.residual += vectors * 16;
    }
  }
}

}  // namespace edgekit
