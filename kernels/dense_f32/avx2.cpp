#include "common/avx2.h"

#include "common/activate_avx2.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// Rows of one tile, with strides in floats.
struct Tile {
  const float* input;
  std::int64_t input_stride;
  const float* weights;
  std::int64_t weights_stride;
  const float* bias;
  float* output;
  std::int64_t output_stride;
  int inputs;
  int count;  // of outputs
};

// ROWS x 8 * VECTORS sums.
template <int ROWS, int VECTORS>
__attribute__((noinline, noclone)) void tile(const Tile& t) {
  __m256 sums[ROWS][VECTORS];
  for (int r = 0; r < ROWS; ++r)
    for (int i = 0; i < VECTORS; ++i) sums[r][i] = _mm256_loadu_ps(t.bias + i * 8);
  const float* weights = t.weights;
  for (int k = 0; k < t.inputs; ++k, weights += t.weights_stride) {
    __m256 w[VECTORS];
    for (int i = 0; i < VECTORS; ++i) w[i] = _mm256_loadu_ps(weights + i * 8);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const __m256 x = _mm256_set1_ps(t.input[r * t.input_stride + k]);
      for (int i = 0; i < VECTORS; ++i) sums[r][i] = _mm256_fmadd_ps(x, w[i], sums[r][i]);
    }
  }
  for (int r = 0; r < ROWS; ++r)
    for (int i = 0; i < VECTORS; ++i)
      if (t.count > i * 8) store8(t.output + r * t.output_stride + i * 8, t.count - i * 8, sums[r][i]);
}

// What was just written, while it is in the cache.
__attribute__((noinline)) void activate_rows(const Tile& t, int rows, int activation) {
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < t.count; i += 8) {
      float* values = t.output + r * t.output_stride + i;
      store8(values, t.count - i, activate8(load8(values, t.count - i), activation));
    }
}

constexpr int kRows = 6;  // 6 x 16 sums take 12 of 16 registers
constexpr void (*kTiles[kRows])(const Tile&) = {tile<1, 2>, tile<2, 2>, tile<3, 2>, tile<4, 2>, tile<5, 2>, tile<6, 2>};

// All rows for outputs `first` to `first + width`: 16, or 64 where there is but one row.
void run_outputs(const DenseF32* p, const Memory* memory, int first, int width) {
  const int block = first / kBlockOutputs * kBlockOutputs;
  Tile t{};
  t.input_stride = p->input_stride / 4;
  t.output_stride = p->output_stride / 4;
  t.inputs = p->inputs;
  t.weights = at<const float>(memory, p->weights) + static_cast<std::int64_t>(block) * p->inputs + (first - block);
  t.weights_stride = block_width(p->outputs, block);
  t.bias = at<const float>(memory, p->bias) + first;
  t.count = smaller(p->outputs - first, width);
  for (std::int64_t row = 0; row < p->rows; row += kRows) {
    const int rows = smaller(static_cast<int>(p->rows - row), kRows);
    t.input = at<const float>(memory, p->input) + row * t.input_stride;
    t.output = at<float>(memory, p->output) + row * t.output_stride + first;
    if (width == kBlockOutputs)
      tile<1, 8>(t);
    else
      kTiles[rows - 1](t);
    if (p->activation != kNoActivation) activate_rows(t, rows, p->activation);
  }
}

}  // namespace

extern "C" void edgekit_dense_f32_avx2(const DenseF32* p, const Memory* memory) {
  for (int first = 0; first < p->outputs;) {
    const bool whole = p->rows == 1 && first % kBlockOutputs == 0 && block_width(p->outputs, first) == kBlockOutputs;
    const int width = whole ? kBlockOutputs : kLaneOutputs;
    run_outputs(p, memory, first, width);
    first += width;
  }
}

}  // namespace edgekit
