#include <cstring>

#include "common/avx512.h"
#include "common/packed.h"
#include "ops.h"

namespace edgekit {

namespace {

// Where a block's sums go, and how they are brought to their form.
struct Outputs {
  const std::int32_t* bias;
  const float* scale;
  std::uint8_t* levels;  // or null
  float* values;         // or null
  __m512i zero_point;
  __m128i low, high;
};

// The next block, and mostly the next layer, follow in memory: their first weights come while this one's sums are
// stored.
constexpr int kPrefetchBytes = 1024;

inline __m512i four_inputs(const std::uint8_t* input) {
  std::int32_t four;
  std::memcpy(&four, input, 4);
  return _mm512_set1_epi32(four);
}

inline void store(const Outputs& outputs, int n, int count, __m512i sum) {
  const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(outputs.scale + n));
  if (outputs.values) {
    _mm512_mask_storeu_ps(outputs.values + n, lanes(count), value);
    return;
  }
  const __m128i levels = to_levels(value, outputs.zero_point, outputs.low, outputs.high);
  _mm_mask_storeu_epi8(outputs.levels + n, lanes(count), levels);
}

// One block of 16 * VECTORS outputs. Two sums for each output hide the latency of the dot product.
template <int VECTORS>
__attribute__((noinline, noclone)) void block(const std::uint8_t* input, const std::int8_t* weights, int groups,
                                              const Outputs& outputs, int first, int count) {
  __m512i even[VECTORS], odd[VECTORS];
  for (int i = 0; i < VECTORS; ++i) {
    even[i] = _mm512_loadu_si512(outputs.bias + first + i * 16);
    odd[i] = _mm512_setzero_si512();
  }
  int group = 0;
  for (; group + 2 <= groups; group += 2) {
    const __m512i x0 = four_inputs(input + group * 4), x1 = four_inputs(input + group * 4 + 4);
    for (int i = 0; i < VECTORS; ++i) even[i] = _mm512_dpbusd_epi32(even[i], x0, _mm512_loadu_si512(weights + i * 64));
    for (int i = 0; i < VECTORS; ++i)
      odd[i] = _mm512_dpbusd_epi32(odd[i], x1, _mm512_loadu_si512(weights + (VECTORS + i) * 64));
    for (int i = 0; i < 2 * VECTORS; ++i)
      _mm_prefetch(reinterpret_cast<const char*>(weights + kPrefetchBytes + i * 64), _MM_HINT_T0);
    weights += 2 * VECTORS * 64;
  }
  if (group < groups) {
    const __m512i x = four_inputs(input + group * 4);
    for (int i = 0; i < VECTORS; ++i) even[i] = _mm512_dpbusd_epi32(even[i], x, _mm512_loadu_si512(weights + i * 64));
  }
  for (int i = 0; i < VECTORS; ++i)
    if (count > i * 16) store(outputs, first + i * 16, count - i * 16, _mm512_add_epi32(even[i], odd[i]));
}

}  // namespace

extern "C" void edgekit_dense_u8_avx512vnni(const DenseU8* p, const Memory* memory) {
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const int groups = static_cast<int>(round_up(p->inputs, 4) / 4);
  Outputs outputs{at<const std::int32_t>(memory, p->bias),  at<const float>(memory, p->scale),
                  at<std::uint8_t>(memory, p->output),      at<float>(memory, p->output_f32),
                  _mm512_set1_epi32(p->zero_point),         _mm_set1_epi8(static_cast<char>(p->low)),
                  _mm_set1_epi8(static_cast<char>(p->high))};
  const std::uint8_t* input = at<const std::uint8_t>(memory, p->input);
  for (int row = 0; row < p->rows; ++row) {
    for (int first = 0; first < p->outputs; first += kBlockOutputs) {
      const std::int8_t* packed = weights + packed_block(first, p->inputs);
      const int count = p->outputs - first;
      switch (block_width(p->outputs, first) / kLaneOutputs) {
        case 4:
          block<4>(input, packed, groups, outputs, first, count);
          break;
        case 3:
          block<3>(input, packed, groups, outputs, first, count);
          break;
        case 2:
          block<2>(input, packed, groups, outputs, first, count);
          break;
        default:
          block<1>(input, packed, groups, outputs, first, count);
      }
    }
    input += p->input_stride;
    if (outputs.levels) outputs.levels += p->output_stride;
    if (outputs.values) outputs.values += p->output_stride / 4;
  }
}

}  // namespace edgekit
