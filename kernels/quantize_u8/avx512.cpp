#include "common/avx512.h"

#include "common/rounding.h"
#include "ops.h"

namespace edgekit {

namespace {

struct Levels {
  __m512 inverse_scale;
  __m512i zero_point;    // 16 times
  __m512i zero_point16;  // 32 times
  float scalar_scale;
  int scalar_zero_point;
};

// Rounded products. Those above 2^15 would convert to the least int; NaN stays second, is kept, and does so: level 0.
inline __m512i rounded(const Levels& levels, __m512 values) {
  const __m512 product = _mm512_mul_ps(values, levels.inverse_scale);
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(32767.0f), product));
}

inline __m512i two_vectors(const Levels& levels, const float* input) {
  const __m512i low = rounded(levels, _mm512_loadu_ps(input)), high = rounded(levels, _mm512_loadu_ps(input + 16));
  return _mm512_adds_epi16(_mm512_packs_epi32(low, high), levels.zero_point16);
}

void vector(const Levels& levels, const float* input, std::uint8_t* output, std::int64_t count) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);  // packs take lanes
  std::int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i packed = _mm512_packus_epi16(two_vectors(levels, input + i), two_vectors(levels, input + i + 32));
    _mm512_storeu_si512(output + i, _mm512_permutexvar_epi32(order, packed));
  }
  for (; i < count; i += 16) {
    const __mmask16 some = lanes(static_cast<int>(count - i));
    const __m512i level = _mm512_add_epi32(rounded(levels, _mm512_maskz_loadu_ps(some, input + i)), levels.zero_point);
    const __m512i positive = _mm512_max_epi32(level, _mm512_setzero_si512());
    _mm_mask_storeu_epi8(output + i, some, _mm512_cvtusepi32_epi8(positive));
  }
}

// Three planes to pixels of three bytes.
void planar3(const Levels& levels, const float* input, std::int64_t plane, std::uint8_t* output, std::int64_t count) {
  // The packs leave 4 bytes of each plane in a 128-bit lane.
  const __m512i pixels = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1));
  const __m512i first_12_bytes = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
  for (std::int64_t i = 0; i < count; i += 16) {
    const int left = count - i < 16 ? static_cast<int>(count - i) : 16;
    const __m512i a = rounded(levels, _mm512_maskz_loadu_ps(lanes(left), input + i));
    const __m512i b = rounded(levels, _mm512_maskz_loadu_ps(lanes(left), input + plane + i));
    const __m512i c = rounded(levels, _mm512_maskz_loadu_ps(lanes(left), input + 2 * plane + i));
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), levels.zero_point16);
    const __m512i cc = _mm512_adds_epi16(_mm512_packs_epi32(c, c), levels.zero_point16);
    const __m512i bytes = _mm512_shuffle_epi8(_mm512_packus_epi16(ab, cc), pixels);
    _mm512_mask_storeu_epi8(output + 3 * i, (1ull << (3 * left)) - 1, _mm512_permutexvar_epi32(first_12_bytes, bytes));
  }
}

void strided(const Levels& levels, const float* input, std::int64_t stride, std::uint8_t* output, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c)
    output[c] = requantize(input[c * stride] * levels.scalar_scale, levels.scalar_zero_point, 0, 255);
}

}  // namespace

extern "C" void edgekit_quantize_u8_avx512(const QuantizeU8* p, const Memory* memory) {
  const Walk walk = merged(walk_of(*p));
  const Levels levels{_mm512_set1_ps(p->inverse_scale), _mm512_set1_epi32(p->zero_point),
                      _mm512_set1_epi16(static_cast<short>(p->zero_point)), p->inverse_scale, p->zero_point};
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
