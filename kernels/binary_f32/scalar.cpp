#include "ops.h"

namespace edgekit {

namespace {

float combine(float a, float b, int kind) { return kind == kAdd ? a + b : kind == kMultiply ? a * b : a - b; }

}  // namespace

extern "C" void edgekit_binary_f32_scalar(const BinaryF32* p, const Memory* memory) {
  const float* a = at<const float>(memory, p->a);
  const float* b = at<const float>(memory, p->b);
  float* output = at<float>(memory, p->output);
  for (int i = 0; i < p->count; ++i) output[i] = combine(a[i], b[i % p->b_count], p->kind);
}

}  // namespace edgekit
