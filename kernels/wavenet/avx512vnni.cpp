#include <immintrin.h>

#include "ops.h"
#include "wavenet/gate_avx512.h"
#include "wavenet/stream.h"

namespace edgekit {

namespace {

struct Levels {
  float scale;
  __m512 inverse;
};

inline __m512 positive(__m512 x) { return _mm512_max_ps(x, _mm512_setzero_ps()); }

// Levels up to `highest` for `count` floats; of relu(x) where RELU.
template <bool RELU>
inline Levels levels_of(const float* x, int count, float highest) {
  __m512 most = _mm512_set1_ps(1e-30f);
  for (int i = 0; i < count; i += 16) {
    const __m512 value = _mm512_load_ps(x + i);
    most = _mm512_max_ps(most, RELU ? value : _mm512_abs_ps(value));
  }
  const float max = _mm512_reduce_max_ps(most);
  return {max / highest, _mm512_set1_ps(highest / max)};
}

inline __m128i signed_levels(__m512 x, __m512 inverse) {
  return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x, inverse)));
}

inline void store_offset(std::uint8_t* to, __m128i levels) {
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm_xor_si128(levels, _mm_set1_epi8(-128)));
}

// sums += the products of one block of 16 * VECTORS outputs.
template <int VECTORS>
inline void dot(const std::uint8_t* x, int inputs, const std::int8_t* weights, __m512i* sums) {
#pragma GCC unroll 16
  for (int k = 0; k < inputs; k += 4) {
    std::int32_t four;
    std::memcpy(&four, x + k, 4);
    const __m512i inputs4 = _mm512_set1_epi32(four);
    for (int i = 0; i < VECTORS; ++i)
      sums[i] = _mm512_dpbusd_epi32(sums[i], inputs4, _mm512_loadu_si512(weights + i * 64));
    weights += VECTORS * 64;
  }
}

template <int VECTORS>
inline void load(__m512i* sums, const std::int32_t* init) {
  for (int i = 0; i < VECTORS; ++i) sums[i] = _mm512_loadu_si512(init + i * 16);
}

// What a layer works on. before: the past's part of the gate.
struct Work {
  alignas(64) float x[kMaxChannels], skip[kMaxChannels], before[2 * kMaxChannels];
  alignas(64) std::uint8_t levels[kMaxChannels], past[kMaxChannels], z[kMaxChannels];
  Levels scaled;
  float past_scale;
};

template <int VECTORS>
inline void past_block(const LayerI8& layer, Work& work, int channels, int first) {
  __m512i sums[VECTORS];
  load<VECTORS>(sums, layer.past_init + first);
  dot<VECTORS>(work.past, channels, layer.past + packed_block(first, channels), sums);
  for (int i = 0; i < VECTORS; ++i)
    _mm512_store_ps(work.before + first + i * 16,
                    _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_set1_ps(work.past_scale)));
}

template <int VECTORS>
inline void gate_block(const LayerI8& layer, Work& work, int channels, int first) {
  __m512i sums[VECTORS];
  load<VECTORS>(sums, layer.init + first);
  dot<VECTORS>(work.levels, channels, layer.gate + packed_block(first, channels), sums);
  __m512 value[VECTORS];
  for (int i = 0; i < VECTORS; ++i) {
    const int n = first + i * 16;
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_set1_ps(work.scaled.scale),
                                        _mm512_load_ps(work.before + n));
    value[i] = _mm512_fmadd_ps(both, _mm512_loadu_ps(layer.scale + n), _mm512_loadu_ps(layer.bias + n));
  }
  for (int i = 0; i < VECTORS; i += 2)
    store_offset(work.z + first / 2 + i * 8, signed_levels(gate(value[i], value[i + 1]), _mm512_set1_ps(127.0f)));
}

template <int VECTORS>
inline void mix_block(const LayerI8& layer, Work& work, int channels, int first) {
  __m512i sums[VECTORS];
  load<VECTORS>(sums, layer.mix_init + first);
  dot<VECTORS>(work.z, channels, layer.mix + packed_block(first, channels), sums);
  for (int i = 0; i < VECTORS; ++i) {
    const int n = first + i * 16;
    float* to = n < channels ? work.x + n : work.skip + n - channels;
    _mm512_store_ps(
        to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_loadu_ps(layer.mix_scale + n), _mm512_load_ps(to)));
  }
}

// A layer's past as levels and their scale; what entered it takes their place.
inline void exchange_past(const Stream& stream, int index, std::int64_t slot, Work& work, int channels) {
  if (!stream.has_rings()) {
    alignas(64) float given[kMaxChannels];
    for (int i = 0; i < channels; i += 16)
      _mm512_store_ps(given + i, _mm512_loadu_ps(stream.past + index * channels + i));
    const Levels found = levels_of<false>(given, channels, 127.0f);
    for (int i = 0; i < channels; i += 16)
      store_offset(work.past + i, signed_levels(_mm512_load_ps(given + i), found.inverse));
    work.past_scale = found.scale;
    return;
  }
  unsigned char* ring = stream.ring(slot, channels);
  for (int i = 0; i < channels; i += 16) {
    auto* place = reinterpret_cast<__m128i*>(ring + i);
    store_offset(work.past + i, _mm_loadu_si128(place));  // zeros of a fresh state are level 0
    _mm_storeu_si128(place, signed_levels(_mm512_load_ps(work.x + i), work.scaled.inverse));
  }
  work.past_scale = stream.scales()[slot];
  stream.scales()[slot] = work.scaled.scale;
}

template <int CHANNELS>  // 0: as many as the stream has
__attribute__((noinline, noclone)) void layers_i8(const Stream& stream, Work& work) {
  const int channels = CHANNELS ? CHANNELS : stream.channels;
  const int outputs = 2 * channels, whole = outputs / kBlockOutputs * kBlockOutputs;
  Parts parts(stream.layer_weights);
  std::int64_t first_slot = 0;
  for (int index = 0; index < stream.layers; ++index) {
    const LayerI8 layer(parts, channels);
    work.scaled = levels_of<false>(work.x, channels, 127.0f);
    for (int i = 0; i < channels; i += 16)
      store_offset(work.levels + i, signed_levels(_mm512_load_ps(work.x + i), work.scaled.inverse));
    exchange_past(stream, index, first_slot + stream.slot[index], work, channels);
    first_slot += stream.dilations[index];
    if (stream.push) std::memcpy(stream.push + index * channels, work.x, 4u * channels);
    for (int first = 0; first < whole; first += kBlockOutputs) past_block<4>(layer, work, channels, first);
    if (whole < outputs) past_block<2>(layer, work, channels, whole);
    for (int first = 0; first < whole; first += kBlockOutputs) gate_block<4>(layer, work, channels, first);
    if (whole < outputs) gate_block<2>(layer, work, channels, whole);
    for (int first = 0; first < whole; first += kBlockOutputs) mix_block<4>(layer, work, channels, first);
    if (whole < outputs) mix_block<2>(layer, work, channels, whole);
  }
}

template <int VECTORS>
__attribute__((noinline, noclone)) void dense_block(const std::uint8_t* levels, int inputs, const std::int8_t* weights,
                                                    const DenseI8& dense, int first, float scale, float* y) {
  __m512i sums[VECTORS];
  for (int i = 0; i < VECTORS; ++i) sums[i] = _mm512_setzero_si512();
  dot<VECTORS>(levels, inputs, weights, sums);
  for (int i = 0; i < VECTORS; ++i) {
    const int n = first + i * 16;
    const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_set1_ps(scale));
    _mm512_store_ps(y + n, _mm512_fmadd_ps(value, _mm512_loadu_ps(dense.scale + n), _mm512_loadu_ps(dense.bias + n)));
  }
}

// relu(x) through a dense layer.
void dense_i8(const float* x, int inputs, const DenseI8& dense, int outputs, float* y) {
  alignas(64) std::uint8_t levels[kMaxHidden];
  const Levels scaled = levels_of<true>(x, inputs, 255.0f);
  for (int k = 0; k < inputs; k += 16) {
    const __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(positive(_mm512_load_ps(x + k)), scaled.inverse));
    _mm_store_si128(reinterpret_cast<__m128i*>(levels + k), _mm512_cvtusepi32_epi8(level));
  }
  int first = 0;
  for (; first + kBlockOutputs <= outputs; first += kBlockOutputs)
    dense_block<4>(levels, inputs, dense.weights + packed_block(first, inputs), dense, first, scaled.scale, y);
  if (first < outputs)
    dense_block<2>(levels, inputs, dense.weights + packed_block(first, inputs), dense, first, scaled.scale, y);
}

void network_i8(const Stream& stream, const float* embedded, float* logits) {
  Work work;
  for (int i = 0; i < stream.channels; i += 16) {
    _mm512_store_ps(work.x + i, _mm512_loadu_ps(embedded + i));
    _mm512_store_ps(work.skip + i, _mm512_setzero_ps());
  }
  if (stream.channels == 64)
    layers_i8<64>(stream, work);
  else
    layers_i8<0>(stream, work);
  alignas(64) float hidden[kMaxHidden];
  const int outputs = padded_classes(stream.classes);
  Parts head(stream.head_weights);
  dense_i8(work.skip, stream.channels, DenseI8(head, stream.channels, stream.hidden), stream.hidden, hidden);
  dense_i8(hidden, stream.hidden, DenseI8(head, stream.hidden, outputs), outputs, logits);
}

}  // namespace

extern "C" void edgekit_wavenet_i8_avx512vnni(const WavenetI8* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_i8);
}

}  // namespace edgekit
