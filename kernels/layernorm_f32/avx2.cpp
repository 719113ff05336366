#include "common/avx2.h"

#include <cmath>

#include "ops.h"

namespace edgekit {

namespace {

constexpr int kSums = 4;  // to hide the latency of the sum

float sum_of(const float* input, int columns) {
  __m256 sums[kSums] = {};
  int k = 0;
  for (; k + 8 * kSums <= columns; k += 8 * kSums)
    for (int i = 0; i < kSums; ++i) sums[i] = _mm256_add_ps(sums[i], _mm256_loadu_ps(input + k + i * 8));
  for (; k < columns; k += 8) sums[0] = _mm256_add_ps(sums[0], load8(input + k, columns - k));
  return sum8(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

float squares_of(const float* input, int columns, __m256 mean) {
  __m256 sums[kSums] = {};
  int k = 0;
  for (; k + 8 * kSums <= columns; k += 8 * kSums)
    for (int i = 0; i < kSums; ++i) {
      const __m256 centred = _mm256_sub_ps(_mm256_loadu_ps(input + k + i * 8), mean);
      sums[i] = _mm256_fmadd_ps(centred, centred, sums[i]);
    }
  for (; k < columns; k += 8) {
    const __m256 some = _mm256_castsi256_ps(lanes8(columns - k));
    const __m256 centred = _mm256_and_ps(_mm256_sub_ps(load8(input + k, columns - k), mean), some);
    sums[0] = _mm256_fmadd_ps(centred, centred, sums[0]);
  }
  return sum8(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

}  // namespace

extern "C" void edgekit_layernorm_f32_avx2(const LayernormF32* p, const Memory* memory) {
  const float* scale = at<const float>(memory, p->scale);
  const float* bias = at<const float>(memory, p->bias);
  const float columns = static_cast<float>(p->columns);
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    const __m256 mean = _mm256_set1_ps(sum_of(input, p->columns) / columns);
    const float variance = squares_of(input, p->columns, mean) / columns;
    const __m256 factor = _mm256_set1_ps(1.0f / sqrtf(variance + p->epsilon));
    for (int k = 0; k < p->columns; k += 8) {
      const int left = p->columns - k;
      const __m256 normal = _mm256_mul_ps(_mm256_sub_ps(load8(input + k, left), mean), factor);
      store8(output + k, left, _mm256_fmadd_ps(normal, load8(scale + k, left), load8(bias + k, left)));
    }
  }
}

}  // namespace edgekit
