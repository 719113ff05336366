#include "common/avx2.h"

#include "common/math_avx2.h"
#include "ops.h"

namespace edgekit {

namespace {

float largest_of(const float* input, int columns) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 largest = lowest;
  for (int k = 0; k < columns; k += 8) {
    const __m256 some = _mm256_castsi256_ps(lanes8(columns - k));
    largest = _mm256_max_ps(largest, _mm256_blendv_ps(lowest, load8(input + k, columns - k), some));
  }
  return max8(largest);
}

// Writes e^(input - largest), and gives the sum of it.
float exponentials(const float* input, float* output, int columns, float largest) {
  const __m256 shift = _mm256_set1_ps(largest);
  __m256 sum = _mm256_setzero_ps();
  for (int k = 0; k < columns; k += 8) {
    const __m256 values = exp8(_mm256_sub_ps(load8(input + k, columns - k), shift));
    store8(output + k, columns - k, values);
    sum = _mm256_add_ps(sum, _mm256_and_ps(values, _mm256_castsi256_ps(lanes8(columns - k))));
  }
  return sum8(sum);
}

void scale(float* values, int columns, float factor) {
  for (int k = 0; k < columns; k += 8)
    store8(values + k, columns - k, _mm256_mul_ps(load8(values + k, columns - k), _mm256_set1_ps(factor)));
}

}  // namespace

extern "C" void edgekit_softmax_f32_avx2(const SoftmaxF32* p, const Memory* memory) {
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    const float sum = exponentials(input, output, p->columns, largest_of(input, p->columns));
    scale(output, p->columns, 1.0f / sum);
  }
}

}  // namespace edgekit
