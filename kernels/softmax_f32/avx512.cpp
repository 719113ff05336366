#include "common/avx512.h"

#include "common/math_avx512.h"
#include "ops.h"

namespace edgekit {

namespace {

constexpr float kLowest = -__builtin_inff();

float largest_of(const float* input, int columns) {
  const __m512 lowest = _mm512_set1_ps(kLowest);
  __m512 largest = lowest;
  for (int k = 0; k < columns; k += 16)
    largest = _mm512_max_ps(largest, _mm512_mask_loadu_ps(lowest, lanes(columns - k), input + k));
  return _mm512_reduce_max_ps(largest);
}

// Writes e^(input - largest), and gives the sum of it.
float exponentials(const float* input, float* output, int columns, float largest) {
  const __m512 shift = _mm512_set1_ps(largest);
  __m512 sum = _mm512_setzero_ps();
  for (int k = 0; k < columns; k += 16) {
    const __mmask16 some = lanes(columns - k);
    const __m512 values = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(some, input + k), shift));
    _mm512_mask_storeu_ps(output + k, some, values);
    sum = _mm512_mask_add_ps(sum, some, sum, values);
  }
  return _mm512_reduce_add_ps(sum);
}

void scale(float* values, int columns, float factor) {
  for (int k = 0; k < columns; k += 16) {
    const __mmask16 some = lanes(columns - k);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, values + k), _mm512_set1_ps(factor));
    _mm512_mask_storeu_ps(values + k, some, scaled);
  }
}

}  // namespace

extern "C" void edgekit_softmax_f32_avx512(const SoftmaxF32* p, const Memory* memory) {
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    const float sum = exponentials(input, output, p->columns, largest_of(input, p->columns));
    scale(output, p->columns, 1.0f / sum);
  }
}

}  // namespace edgekit
