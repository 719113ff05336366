#include "ops.h"
#include "wavenet/rows_float.h"
#include "wavenet/rows_i8.h"
#include "wavenet/vector_avx2.h"

namespace edgekit {

namespace {

// Levels are kept as int16: pairs of products of s8 and u8 do not fit the int16 that maddubs gives.
struct Avx2Levels : Avx2 {
  using Level = std::int16_t;
  using Bytes = __m128i;  // 8 of them

  static Bytes quantize(Floats value) {
    const __m256i levels = _mm256_cvtps_epi32(value);
    const __m128i wide = _mm_packs_epi32(_mm256_castsi256_si128(levels), _mm256_extracti128_si256(levels, 1));
    return _mm_packs_epi16(wide, wide);
  }
  static Bytes load_bytes(const std::int8_t* from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }
  static void store_bytes(void* to, Bytes levels) { _mm_storel_epi64(static_cast<__m128i*>(to), levels); }
  static void store_offset(Level* to, Bytes levels) {
    store_wide(to, _mm_add_epi16(_mm_cvtepi8_epi16(levels), _mm_set1_epi16(128)));
  }
  static void store_unsigned(Level* to, Floats value) {
    const __m256i levels = _mm256_cvtps_epi32(value);
    const __m128i wide = _mm_packs_epi32(_mm256_castsi256_si128(levels), _mm256_extracti128_si256(levels, 1));
    store_wide(to, _mm_cvtepu8_epi16(_mm_packus_epi16(wide, wide)));
  }

  template <int PAIRS>
  static void sums(const Level* x, int inputs, const std::int8_t* weights, const std::int32_t* init, Floats* to) {
    for (int pair = 0; pair < PAIRS; ++pair) {
      pair_sums(x, inputs, weights + pair * 128, PAIRS * 128, to + pair * 4);
      for (int i = pair * 4; i < pair * 4 + 4; ++i) {
        __m256i sum = _mm256_castps_si256(to[i]);
        if (init) sum = _mm256_add_epi32(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(init + i * 8)));
        to[i] = _mm256_cvtepi32_ps(sum);
      }
    }
  }

 private:
  static void store_wide(Level* to, __m128i levels) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), levels); }

  // Sums of products of 32 outputs, as int32; `stride` bytes lie between one four of inputs and the next.
  static void pair_sums(const Level* x, int inputs, const std::int8_t* weights, int stride, Floats* to) {
    __m256i halves[8];  // of each output, the sums over even and over odd pairs of inputs
    for (auto& half : halves) half = _mm256_setzero_si256();
    for (int k = 0; k < inputs; k += 4, weights += stride) {
      long long four;
      std::memcpy(&four, x + k, 8);
      const __m256i input = _mm256_set1_epi64x(four);
      for (int i = 0; i < 8; ++i) {
        const __m256i four_outputs = _mm256_cvtepi8_epi16(load16(weights + i * 16));
        halves[i] = _mm256_add_epi32(halves[i], _mm256_madd_epi16(four_outputs, input));
      }
    }
    for (int i = 0; i < 4; ++i) {
      const __m256i mixed = _mm256_hadd_epi32(halves[2 * i], halves[2 * i + 1]);  // 0 1 4 5, 2 3 6 7
      to[i] = _mm256_castsi256_ps(_mm256_permute4x64_epi64(mixed, 0xd8));
    }
  }
  static __m128i load16(const std::int8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
};

}  // namespace

extern "C" void edgekit_wavenet_i8_avx2(const WavenetI8* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_i8<Avx2Levels>);
}

extern "C" void edgekit_wavenet_f32_avx2(const WavenetF32* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<Avx2, float>);
}

extern "C" void edgekit_wavenet_bf16_avx2(const WavenetBf16* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<Avx2, std::uint16_t>);
}

}  // namespace edgekit
