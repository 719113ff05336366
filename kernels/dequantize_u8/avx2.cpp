#include <immintrin.h>

#include "ops.h"

namespace edgekit {

namespace {

struct Values {
  __m256 scale;
  __m256i zero_point;
  float scalar_scale;
  int scalar_zero_point;
};

inline void store(const Values& values, float* output, __m256i levels) {
  const __m256 centred = _mm256_cvtepi32_ps(_mm256_sub_epi32(levels, values.zero_point));
  _mm256_storeu_ps(output, _mm256_mul_ps(centred, values.scale));
}

void strided(const Values& values, const std::uint8_t* input, float* output, std::int64_t stride, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c)
    output[c * stride] = static_cast<float>(input[c] - values.scalar_zero_point) * values.scalar_scale;
}

void vector(const Values& values, const std::uint8_t* input, float* output, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    store(values, output + i, _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(input + i))));
  strided(values, input + i, output + i, 1, count - i);
}

// The byte of each of four pixels of three that is `channel`, in 32 bits.
inline __m256i select(int channel) {
  const __m128i first = _mm_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
  return _mm256_broadcastsi128_si256(_mm_add_epi32(first, _mm_set1_epi32(channel)));
}

// Pixels of three bytes to three planes.
void planar3(const Values& values, const std::uint8_t* input, float* output, std::int64_t plane, std::int64_t count) {
  const __m256i four_pixels = _mm256_setr_epi32(0, 1, 2, 0, 3, 4, 5, 0);
  const __m256i six = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, 0, 0);
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i bytes = _mm256_maskload_epi32(reinterpret_cast<const int*>(input + 3 * i), six);
    const __m256i pixels = _mm256_permutevar8x32_epi32(bytes, four_pixels);
    for (int c = 0; c < 3; ++c) store(values, output + c * plane + i, _mm256_shuffle_epi8(pixels, select(c)));
  }
  for (; i < count; ++i) strided(values, input + 3 * i, output + i, plane, 3);
}

}  // namespace

extern "C" void edgekit_dequantize_u8_avx2(const DequantizeU8* p, const Memory* memory) {
  const Walk walk = merged(walk_of(*p));
  const Values values{_mm256_set1_ps(p->scale), _mm256_set1_epi32(p->zero_point), p->scale, p->zero_point};
  for (std::int64_t row = 0; row < walk.rows; ++row) {
    const std::uint8_t* input = at<const std::uint8_t>(memory, p->input) + row * walk.u8_row;
    float* output = at<float>(memory, p->output) + row * walk.f32_row / 4;
    if (is_planar3(walk)) {
      planar3(values, input, output, walk.f32_channel / 4, walk.columns);
      continue;
    }
    for (std::int64_t column = 0; column < walk.columns; ++column) {
      float* pixel = output + column * walk.f32_column / 4;
      if (walk.f32_channel == 4)
        vector(values, input + column * walk.u8_column, pixel, walk.channels);
      else
        strided(values, input + column * walk.u8_column, pixel, walk.f32_channel / 4, walk.channels);
    }
  }
}

}  // namespace edgekit
