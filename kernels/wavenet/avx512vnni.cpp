#include "ops.h"
#include "wavenet/rows_i8.h"
#include "wavenet/vector_avx512.h"

namespace edgekit {

namespace {

struct Vnni : Avx512 {
  using Level = std::uint8_t;
  using Bytes = __m128i;

  static Bytes quantize(Floats value) { return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(value)); }
  static Bytes load_bytes(const std::int8_t* from) { return _mm_loadu_si128(reinterpret_cast<const Bytes*>(from)); }
  static void store_bytes(void* to, Bytes levels) { _mm_storeu_si128(static_cast<Bytes*>(to), levels); }
  static void store_offset(Level* to, Bytes levels) { store_bytes(to, _mm_xor_si128(levels, _mm_set1_epi8(-128))); }
  static void store_unsigned(Level* to, Floats value) {
    store_bytes(to, _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_cvtps_epi32(value), _mm512_setzero_si512())));
  }

  template <int PAIRS>
  static void sums(const Level* x, int inputs, const std::int8_t* weights, const std::int32_t* init, Floats* to) {
    constexpr int kVectors = 2 * PAIRS;
    __m512i sums[kVectors];
    for (int i = 0; i < kVectors; ++i) sums[i] = init ? _mm512_loadu_si512(init + i * 16) : _mm512_setzero_si512();
#pragma GCC unroll 16
    for (int k = 0; k < inputs; k += 4) {
      std::int32_t four;
      std::memcpy(&four, x + k, 4);
      const __m512i input = _mm512_set1_epi32(four);
      for (int i = 0; i < kVectors; ++i)
        sums[i] = _mm512_dpbusd_epi32(sums[i], input, _mm512_loadu_si512(weights + (k * kVectors / 4 + i) * 64));
    }
    for (int i = 0; i < kVectors; ++i) to[i] = _mm512_cvtepi32_ps(sums[i]);
  }
};

}  // namespace

extern "C" void edgekit_wavenet_i8_avx512vnni(const WavenetI8* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_i8<Vnni>);
}

}  // namespace edgekit
