#include "common/avx2.h"

#include "ops.h"

namespace edgekit {

namespace {

template <int KIND>
inline __m256 combine(__m256 a, __m256 b) {
  return KIND == kAdd ? _mm256_add_ps(a, b) : KIND == kMultiply ? _mm256_mul_ps(a, b) : _mm256_sub_ps(a, b);
}

// One run of b.
template <int KIND>
void vector(const float* a, const float* b, float* output, int count) {
  int i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(output + i, combine<KIND>(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
  if (i < count) store8(output + i, count - i, combine<KIND>(load8(a + i, count - i), load8(b + i, count - i)));
}

template <int KIND>
void with_scalar(const float* a, float b, float* output, int count) {
  const __m256 every = _mm256_set1_ps(b);
  for (int i = 0; i < count; i += 8) store8(output + i, count - i, combine<KIND>(load8(a + i, count - i), every));
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

extern "C" void edgekit_binary_f32_avx2(const BinaryF32* p, const Memory* memory) {
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
