#include "common/avx512.h"

#include "ops.h"

namespace edgekit {

namespace {

struct Values {
  __m512 scale;
  __m512i zero_point;
  float scalar_scale;
  int scalar_zero_point;
};

inline __m512 values_of(const Values& values, __m512i levels) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(levels, values.zero_point)), values.scale);
}

void vector(const Values& values, const std::uint8_t* input, float* output, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(input + i));
    _mm512_storeu_ps(output + i, values_of(values, _mm512_cvtepu8_epi32(levels)));
  }
  const __mmask16 rest = lanes(static_cast<int>(count - i));
  const __m128i levels = _mm_maskz_loadu_epi8(rest, input + i);
  _mm512_mask_storeu_ps(output + i, rest, values_of(values, _mm512_cvtepu8_epi32(levels)));
}

// Pixels of three bytes to three planes.
void planar3(const Values& values, const std::uint8_t* input, float* output, std::int64_t plane, std::int64_t count) {
  const __m512i four_pixels = _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0);
  const __m512i first = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1));  // of each pixel, in 32 bits
  const __m512i second =
      _mm512_broadcast_i32x4(_mm_setr_epi8(1, -1, -1, -1, 4, -1, -1, -1, 7, -1, -1, -1, 10, -1, -1, -1));
  const __m512i third =
      _mm512_broadcast_i32x4(_mm_setr_epi8(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1));
  for (std::int64_t i = 0; i < count; i += 16) {
    const int left = count - i < 16 ? static_cast<int>(count - i) : 16;
    const __m512i bytes = _mm512_maskz_loadu_epi8((1ull << (3 * left)) - 1, input + 3 * i);
    const __m512i pixels = _mm512_permutexvar_epi32(four_pixels, bytes);
    float* to = output + i;
    _mm512_mask_storeu_ps(to, lanes(left), values_of(values, _mm512_shuffle_epi8(pixels, first)));
    _mm512_mask_storeu_ps(to + plane, lanes(left), values_of(values, _mm512_shuffle_epi8(pixels, second)));
    _mm512_mask_storeu_ps(to + 2 * plane, lanes(left), values_of(values, _mm512_shuffle_epi8(pixels, third)));
  }
}

void strided(const Values& values, const std::uint8_t* input, float* output, std::int64_t stride, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c)
    output[c * stride] = static_cast<float>(input[c] - values.scalar_zero_point) * values.scalar_scale;
}

}  // namespace

extern "C" void edgekit_dequantize_u8_avx512(const DequantizeU8* p, const Memory* memory) {
  const Walk walk = merged(walk_of(*p));
  const Values values{_mm512_set1_ps(p->scale), _mm512_set1_epi32(p->zero_point), p->scale, p->zero_point};
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
