#include <immintrin.h>

#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

namespace {

struct Levels {
  __m256 inverse_scale;
  __m256i zero_point16;  // 16 times
  float scalar_scale;
  int scalar_zero_point;
};

// Rounded products. Those above 2^15 would convert to the least int; NaN stays second, is kept, and does so: level 0.
inline __m256i rounded(const Levels& levels, const float* input) {
  const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(input), levels.inverse_scale);
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(32767.0f), product));
}

inline __m256i two_vectors(const Levels& levels, const float* input) {
  return _mm256_adds_epi16(_mm256_packs_epi32(rounded(levels, input), rounded(levels, input + 8)), levels.zero_point16);
}

void strided(const Levels& levels, const float* input, std::int64_t stride, std::uint8_t* output, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c)
    output[c] = requantize(input[c * stride] * levels.scalar_scale, levels.scalar_zero_point, 0, 255);
}

void vector(const Levels& levels, const float* input, std::uint8_t* output, std::int64_t count) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packs take lanes
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i packed = _mm256_packus_epi16(two_vectors(levels, input + i), two_vectors(levels, input + i + 16));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + i), _mm256_permutevar8x32_epi32(packed, order));
  }
  strided(levels, input + i, 1, output + i, count - i);
}

// Three planes to pixels of three bytes.
void planar3(const Levels& levels, const float* input, std::int64_t plane, std::uint8_t* output, std::int64_t count) {
  // The packs leave 4 bytes of each plane in a 128-bit lane.
  const __m256i pixels =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1));
  const __m256i first_12_bytes = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i a = rounded(levels, input + i), b = rounded(levels, input + plane + i);
    const __m256i c = rounded(levels, input + 2 * plane + i);
    const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), levels.zero_point16);
    const __m256i cc = _mm256_adds_epi16(_mm256_packs_epi32(c, c), levels.zero_point16);
    const __m256i in_lanes = _mm256_shuffle_epi8(_mm256_packus_epi16(ab, cc), pixels);
    const __m256i bytes = _mm256_permutevar8x32_epi32(in_lanes, first_12_bytes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + 3 * i), _mm256_castsi256_si128(bytes));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(output + 3 * i + 16), _mm256_extracti128_si256(bytes, 1));
  }
  for (; i < count; ++i) strided(levels, input + i, plane, output + 3 * i, 3);
}

}  // namespace

extern "C" void edgekit_quantize_u8_avx2(const QuantizeU8* p, const Memory* memory) {
  const Walk walk = merged(walk_of(*p));
  const Levels levels{_mm256_set1_ps(p->inverse_scale), _mm256_set1_epi16(static_cast<short>(p->zero_point)),
                      p->inverse_scale, p->zero_point};
  for (std::int64_t row = 0; row < walk.rows; ++row) {
    const float* input = at<const float>(memory, p->input) + row * walk.f32_row / 4;
    std::uint8_t* output = at<std::uint8_t>(memory, p->output) + row * walk.u8_row;
    if (is_planar3(walk)) {
      planar3(levels, input, walk.f32_channel / 4, output, walk.columns);
      continue;
    }
    for (std::int64_t column = 0; column < walk.columns; ++column) {
      const float* pixel = input + column * walk.f32_column / 4;
      if (walk.f32_channel == 4)
        vector(levels, pixel, output + column * walk.u8_column, walk.channels);
      else
        strided(levels, pixel, walk.f32_channel / 4, output + column * walk.u8_column, walk.channels);
    }
  }
}

}  // namespace edgekit
