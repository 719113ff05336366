#include "common/avx512.h"

#include "ops.h"

namespace edgekit {

namespace {

template <int KIND>
inline __m512 combine(__m512 a, __m512 b) {
  return KIND == kAdd ? _mm512_add_ps(a, b) : KIND == kMultiply ? _mm512_mul_ps(a, b) : _mm512_sub_ps(a, b);
}

// One run of b.
template <int KIND>
void vector(const float* a, const float* b, float* output, int count) {
  int i = 0;
  for (; i + 16 <= count; i += 16)
    _mm512_storeu_ps(output + i, combine<KIND>(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
  const __mmask16 rest = lanes(count - i);
  if (rest)
    _mm512_mask_storeu_ps(output + i, rest,
                          combine<KIND>(_mm512_maskz_loadu_ps(rest, a + i), _mm512_maskz_loadu_ps(rest, b + i)));
}

template <int KIND>
void with_scalar(const float* a, float b, float* output, int count) {
  const __m512 every = _mm512_set1_ps(b);
  for (int i = 0; i < count; i += 16) {
    const __mmask16 some = lanes(count - i);
    _mm512_mask_storeu_ps(output + i, some, combine<KIND>(_mm512_maskz_loadu_ps(some, a + i), every));
  }
}

template <int KIND>
void run(const BinaryF32* p, const Memory* memory) {
  const float* a = at<const float>(memory, p->a);
  const float* b = at<const float>(memory, p->b);
  float* output = at<float>(memory, p->output);
  if (p->b_count == 1) return with_scalar<KIND>(a, *b, output, p->count);
  for (int i = 0; i < p->count; i += p->b_count) vector<KIND>(a + i, b, output + i, p->b_count);
}

}  // namespace

extern "C" void edgekit_binary_f32_avx512(const BinaryF32* p, const Memory* memory) {
  switch (p->kind) {
    case kAdd:
      return run<kAdd>(p, memory);
    case kMultiply:
      return run<kMultiply>(p, memory);
    default:
      return run<kSubtract>(p, memory);
  }
}

}  // namespace edgekit
