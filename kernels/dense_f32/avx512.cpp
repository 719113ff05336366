#include "common/avx512.h"

#include "common/activate_avx512.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

constexpr int kRows = 6;  // of a tile: 6 x 64 sums take 24 of 32 registers

// Rows of one tile, with strides in floats.
struct Tile {
  const float* input;
  std::int64_t input_stride;
  const float* weights;
  const float* bias;
  float* output;
  std::int64_t output_stride;
  int inputs;
  int count;  // of outputs
};

// ROWS x 16 * VECTORS sums. Few of them are split, even and odd inputs apart, to hide the latency of the products.
template <int ROWS, int VECTORS>
__attribute__((noinline, noclone)) void tile(const Tile& t) {
  constexpr int SPLIT = ROWS * VECTORS <= 4 ? 2 : 1;
  __m512 sums[SPLIT][ROWS][VECTORS];
  for (int r = 0; r < ROWS; ++r)
    for (int i = 0; i < VECTORS; ++i) {
      sums[0][r][i] = _mm512_loadu_ps(t.bias + i * 16);
      if (SPLIT > 1) sums[SPLIT - 1][r][i] = _mm512_setzero_ps();
    }
  const float* weights = t.weights;
  const auto step = [&](__m512(&into)[ROWS][VECTORS], int k) __attribute__((always_inline)) {
    __m512 w[VECTORS];
    for (int i = 0; i < VECTORS; ++i) w[i] = _mm512_loadu_ps(weights + i * 16);
    weights += VECTORS * 16;
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const __m512 x = _mm512_set1_ps(t.input[r * t.input_stride + k]);
      for (int i = 0; i < VECTORS; ++i) into[r][i] = _mm512_fmadd_ps(x, w[i], into[r][i]);
    }
  };
  int k = 0;
  for (; k + SPLIT <= t.inputs; k += SPLIT)
    for (int s = 0; s < SPLIT; ++s) step(sums[s], k + s);
  if (k < t.inputs) step(sums[0], k);
  for (int r = 0; r < ROWS; ++r)
    for (int i = 0; i < VECTORS; ++i) {
      const __m512 sum = SPLIT > 1 ? _mm512_add_ps(sums[0][r][i], sums[SPLIT - 1][r][i]) : sums[0][r][i];
      const int left = t.count - i * 16;
      if (left > 0) _mm512_mask_storeu_ps(t.output + r * t.output_stride + i * 16, lanes(left), sum);
    }
}

template <int VECTORS>
void tile_of(int rows, const Tile& t) {
  static constexpr void (*kTiles[kRows])(const Tile&) = {tile<1, VECTORS>, tile<2, VECTORS>, tile<3, VECTORS>,
                                                         tile<4, VECTORS>, tile<5, VECTORS>, tile<6, VECTORS>};
  kTiles[rows - 1](t);
}

// What was just written, while it is in the cache.
__attribute__((noinline)) void activate_rows(const Tile& t, int rows, int activation) {
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < t.count; i += 16) {
      float* values = t.output + r * t.output_stride + i;
      const __mmask16 some = lanes(t.count - i);
      _mm512_mask_storeu_ps(values, some, activate16(_mm512_maskz_loadu_ps(some, values), activation));
    }
}

void run_tile(int rows, int vectors, const Tile& t, int activation) {
  constexpr void (*kTiles[])(int, const Tile&) = {tile_of<1>, tile_of<2>, tile_of<3>, tile_of<4>};
  kTiles[vectors - 1](rows, t);
  if (activation != kNoActivation) activate_rows(t, rows, activation);
}

}  // namespace

extern "C" void edgekit_dense_f32_avx512(const DenseF32* p, const Memory* memory) {
  Tile t{at<const float>(memory, p->input), p->input_stride / 4,  nullptr,   nullptr,
         at<float>(memory, p->output),      p->output_stride / 4, p->inputs, 0};
  for (int first = 0; first < p->outputs; first += kBlockOutputs) {  // a block's weights stay near for all rows
    const int width = block_width(p->outputs, first);
    t.weights = at<const float>(memory, p->weights) + static_cast<std::int64_t>(first) * p->inputs;
    t.bias = at<const float>(memory, p->bias) + first;
    t.count = smaller(p->outputs - first, width);
    for (std::int64_t row = 0; row < p->rows; row += kRows) {
      t.input = at<const float>(memory, p->input) + row * t.input_stride;
      t.output = at<float>(memory, p->output) + row * t.output_stride + first;
      run_tile(smaller(static_cast<int>(p->rows - row), kRows), width / kLaneOutputs, t, p->activation);
    }
  }
}

}  // namespace edgekit
