#include "common/avx2.h"

#include <immintrin.h>

#include <cstring>

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
  __m256i zero_point, low, high;
};

// Four inputs as 16-bit numbers, four times.
inline __m256i four_inputs(const std::uint8_t* input) {
  std::int32_t four;
  std::memcpy(&four, input, 4);
  return _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
}

// Four outputs' weights of four inputs as 16-bit numbers: the 8-bit dot product of AVX2 saturates, this one is exact.
inline __m256i four_outputs(const std::int8_t* weights) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
}

inline __m256 scaled(const Outputs& outputs, int n, __m256i sum) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(outputs.scale + n));
}

inline __m256i to_levels(const Outputs& outputs, __m256 value) {
  const __m256i level = _mm256_add_epi32(_mm256_cvtps_epi32(value), outputs.zero_point);
  return _mm256_min_epi32(_mm256_max_epi32(level, outputs.low), outputs.high);
}

// 16 outputs, of which `count` exist.
inline void store(const Outputs& outputs, int n, int count, __m256i first, __m256i second) {
  const __m256 a = scaled(outputs, n, first), b = scaled(outputs, n + 8, second);
  if (outputs.values) {
    store8(outputs.values + n, count, a);
    if (count > 8) store8(outputs.values + n + 8, count - 8, b);
    return;
  }
  const __m256i words = _mm256_packus_epi32(to_levels(outputs, a), to_levels(outputs, b));
  const __m256i ordered = _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0));  // packs take 128-bit lanes
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(outputs.levels + n), bytes);
    return;
  }
  alignas(16) std::uint8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  for (int i = 0; i < count; ++i) outputs.levels[n + i] = all[i];
}

// 16 * LANES outputs, of which `count` exist; `weights` of the first of them, in a block that is `width` outputs wide.
// A vector of sums holds two for each of four outputs: of inputs 0 and 1, and 2 and 3.
template <int LANES>
__attribute__((noinline, noclone)) void some_outputs(const std::uint8_t* input, const std::int8_t* weights, int groups,
                                                     int width, const Outputs& outputs, int first, int count) {
  __m256i sums[LANES * 4];
  for (int i = 0; i < LANES * 4; ++i) sums[i] = _mm256_setzero_si256();
  for (int group = 0; group < groups; ++group, weights += width * 4) {
    const __m256i x = four_inputs(input + group * 4);
    for (int i = 0; i < LANES * 4; ++i)
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(x, four_outputs(weights + i * 16)));
  }
  for (int lane = 0; lane < LANES; ++lane) {
    const int n = first + lane * kLaneOutputs;
    __m256i total[2];
    for (int i = 0; i < 2; ++i) {
      const __m256i pairs = _mm256_hadd_epi32(sums[lane * 4 + i * 2], sums[lane * 4 + i * 2 + 1]);
      const __m256i bias = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(outputs.bias + n + i * 8));
      total[i] = _mm256_add_epi32(_mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0)), bias);
    }
    if (count > lane * kLaneOutputs) store(outputs, n, count - lane * kLaneOutputs, total[0], total[1]);
  }
}

}  // namespace

extern "C" void edgekit_dense_u8_avx2(const DenseU8* p, const Memory* memory) {
  const auto* weights = at<const std::int8_t>(memory, p->weights);
  const int groups = static_cast<int>(round_up(p->inputs, 4) / 4);
  Outputs outputs{at<const std::int32_t>(memory, p->bias),
                  at<const float>(memory, p->scale),
                  at<std::uint8_t>(memory, p->output),
                  at<float>(memory, p->output_f32),
                  _mm256_set1_epi32(p->zero_point),
                  _mm256_set1_epi32(p->low),
                  _mm256_set1_epi32(p->high)};
  const std::uint8_t* input = at<const std::uint8_t>(memory, p->input);
  for (int row = 0; row < p->rows; ++row) {
    for (int block = 0; block < p->outputs; block += kBlockOutputs) {
      const std::int8_t* packed = weights + packed_block(block, p->inputs);
      const int width = block_width(p->outputs, block);
      for (int n = 0; n < width; n += 2 * kLaneOutputs) {
        const auto some = width - n > kLaneOutputs ? some_outputs<2> : some_outputs<1>;
        some(input, packed + n * 4, groups, width, outputs, block + n, p->outputs - block - n);
      }
    }
    input += p->input_stride;
    if (outputs.levels) outputs.levels += p->output_stride;
    if (outputs.values) outputs.values += p->output_stride / 4;
  }
}

}  // namespace edgekit
