#include "common/avx512.h"

#include <cmath>

#include "ops.h"

namespace edgekit {

namespace {

float sum_of(const float* input, int columns) {
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};  // two, to hide the latency of the sum
  int k = 0;
  for (; k + 32 <= columns; k += 32)
    for (int i = 0; i < 2; ++i) sums[i] = _mm512_add_ps(sums[i], _mm512_loadu_ps(input + k + i * 16));
  for (; k < columns; k += 16) sums[0] = _mm512_add_ps(sums[0], _mm512_maskz_loadu_ps(lanes(columns - k), input + k));
  return _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
}

float squares_of(const float* input, int columns, __m512 mean) {
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  int k = 0;
  for (; k + 32 <= columns; k += 32)
    for (int i = 0; i < 2; ++i) {
      const __m512 centred = _mm512_sub_ps(_mm512_loadu_ps(input + k + i * 16), mean);
      sums[i] = _mm512_fmadd_ps(centred, centred, sums[i]);
    }
  for (; k < columns; k += 16) {
    const __mmask16 some = lanes(columns - k);
    const __m512 centred = _mm512_maskz_sub_ps(some, _mm512_maskz_loadu_ps(some, input + k), mean);
    sums[0] = _mm512_fmadd_ps(centred, centred, sums[0]);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
}

}  // namespace

extern "C" void edgekit_layernorm_f32_avx512(const LayernormF32* p, const Memory* memory) {
  const float* scale = at<const float>(memory, p->scale);
  const float* bias = at<const float>(memory, p->bias);
  const float columns = static_cast<float>(p->columns);
  for (std::int64_t row = 0; row < p->rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * p->input_stride / 4;
    float* output = at<float>(memory, p->output) + row * p->output_stride / 4;
    const __m512 mean = _mm512_set1_ps(sum_of(input, p->columns) / columns);
    const float variance = squares_of(input, p->columns, mean) / columns;
    const __m512 factor = _mm512_set1_ps(1.0f / sqrtf(variance + p->epsilon));
    for (int k = 0; k < p->columns; k += 16) {
      const __mmask16 some = lanes(p->columns - k);
      const __m512 centred = _mm512_sub_ps(_mm512_maskz_loadu_ps(some, input + k), mean);
      const __m512 values = _mm512_fmadd_ps(_mm512_mul_ps(centred, factor), _mm512_maskz_loadu_ps(some, scale + k),
                                            _mm512_maskz_loadu_ps(some, bias + k));
      _mm512_mask_storeu_ps(output + k, some, values);
    }
  }
}

}  // namespace edgekit
