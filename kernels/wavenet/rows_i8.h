// wavenet_i8 for any instruction set. Isa is a struct of vector_*.h with what integers need:
//   Level                      how a level with its offset is kept: u8, or wider
//   Bytes quantize(Floats)     levels from -128 to 127
//   load_bytes, store_bytes    from and to s8 memory
//   store_offset(to, Bytes)    levels with 128 added
//   store_unsigned(to, Floats) levels from 0 to 255
//   sums<PAIRS>(x, inputs, weights, init, to)  init + products of a block of 32 * PAIRS outputs, as floats
#pragma once

#include <cstdint>
#include <cstring>

#include "wavenet/stream.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

template <class Isa>
struct Work {
  alignas(64) float x[kMaxChannels], skip[kMaxChannels];
  alignas(64) float before[2 * kMaxChannels];  // the past's part of the gate
  alignas(64) typename Isa::Level levels[kMaxChannels], past[kMaxChannels], z[kMaxChannels];
  float scale, past_scale;
};

struct Scales {
  float scale, inverse;
};

// For levels of `count` floats up to `highest`; of relu(x) where RELU.
template <class Isa, bool RELU>
inline Scales scales_of(const float* x, int count, float highest) {
  typename Isa::Floats most = Isa::all(1e-30f);
  for (int i = 0; i < count; i += Isa::kFloats)
    most = Isa::max(most, RELU ? Isa::load(x + i) : Isa::abs(Isa::load(x + i)));
  const float max = Isa::max_of(most);
  return {max / highest, highest / max};
}

template <class Isa, int PAIRS>
constexpr int kVectors = PAIRS * 32 / Isa::kFloats;

template <class Isa, int PAIRS>
inline void past_block(const LayerI8& layer, Work<Isa>& work, int channels, int first) {
  typename Isa::Floats sums[kVectors<Isa, PAIRS>];
  Isa::template sums<PAIRS>(work.past, channels, layer.past + first * channels, layer.past_init + first, sums);
  for (int i = 0; i < kVectors<Isa, PAIRS>; ++i)
    Isa::store(work.before + first + i * Isa::kFloats, Isa::mul(sums[i], Isa::all(work.past_scale)));
}

template <class Isa, int PAIRS>
inline void gate_block(const LayerI8& layer, Work<Isa>& work, int channels, int first) {
  typename Isa::Floats sums[kVectors<Isa, PAIRS>];
  Isa::template sums<PAIRS>(work.levels, channels, layer.gate + first * channels, layer.init + first, sums);
  for (int i = 0; i < kVectors<Isa, PAIRS>; ++i) {
    const int n = first + i * Isa::kFloats;
    const typename Isa::Floats both = Isa::fma(sums[i], Isa::all(work.scale), Isa::load(work.before + n));
    sums[i] = Isa::fma(both, Isa::load(layer.scale + n), Isa::load(layer.bias + n));
  }
  constexpr int kHalf = 16 / Isa::kFloats;  // vectors of tanh, then as many of sigmoid for the same channels
  for (int pair = 0; pair < PAIRS; ++pair)
    for (int i = 0; i < kHalf; ++i) {
      const int at = pair * 2 * kHalf + i;
      const typename Isa::Floats z = Isa::mul(Isa::gate(sums[at], sums[at + kHalf]), Isa::all(127.0f));
      Isa::store_offset(work.z + first / 2 + pair * 16 + i * Isa::kFloats, Isa::quantize(z));
    }
}

template <class Isa, int PAIRS>
inline void mix_block(const LayerI8& layer, Work<Isa>& work, int channels, int first) {
  typename Isa::Floats sums[kVectors<Isa, PAIRS>];
  Isa::template sums<PAIRS>(work.z, channels, layer.mix + first * channels, layer.mix_init + first, sums);
  for (int i = 0; i < kVectors<Isa, PAIRS>; ++i) {
    const int n = first + i * Isa::kFloats;
    float* to = n < channels ? work.x + n : work.skip + n - channels;
    Isa::store(to, Isa::fma(sums[i], Isa::load(layer.mix_scale + n), Isa::load(to)));
  }
}

// The levels of x, and those of the past: from the ring, where x takes its place, or from what the user gives.
template <class Isa>
inline void levels_of_layer(const Stream& stream, int index, std::int64_t slot, Work<Isa>& work, int channels) {
  const Scales scales = scales_of<Isa, false>(work.x, channels, 127.0f);
  work.scale = scales.scale;
  auto* ring = reinterpret_cast<std::int8_t*>(stream.ring(slot, channels));
  for (int i = 0; i < channels; i += Isa::kFloats) {
    const typename Isa::Bytes levels = Isa::quantize(Isa::mul(Isa::load(work.x + i), Isa::all(scales.inverse)));
    Isa::store_offset(work.levels + i, levels);
    if (!stream.has_rings()) continue;
    Isa::store_offset(work.past + i, Isa::load_bytes(ring + i));
    Isa::store_bytes(ring + i, levels);
  }
  if (stream.has_rings()) {
    work.past_scale = stream.scales()[slot];
    stream.scales()[slot] = scales.scale;
    return;
  }
  const float* past = stream.past + index * channels;
  const Scales of_past = scales_of<Isa, false>(past, channels, 127.0f);
  work.past_scale = of_past.scale;
  for (int i = 0; i < channels; i += Isa::kFloats)
    Isa::store_offset(work.past + i, Isa::quantize(Isa::mul(Isa::load(past + i), Isa::all(of_past.inverse))));
}

template <class Isa, int CHANNELS>  // CHANNELS 0: as many as the stream has
__attribute__((noinline, noclone)) void layers_i8(const Stream& stream, Work<Isa>& work) {
  const int channels = CHANNELS ? CHANNELS : stream.channels;
  Parts parts(stream.layer_weights);
  std::int64_t first_slot = 0;
  for (int index = 0; index < stream.layers; ++index) {
    const LayerI8 layer(parts, channels);
    if (stream.push) std::memcpy(stream.push + index * channels, work.x, 4u * channels);
    levels_of_layer(stream, index, first_slot + stream.slot[index], work, channels);
    first_slot += stream.dilations[index];
    each_block(2 * channels,
               [&](auto pairs, int first) { past_block<Isa, decltype(pairs)::value>(layer, work, channels, first); });
    each_block(2 * channels,
               [&](auto pairs, int first) { gate_block<Isa, decltype(pairs)::value>(layer, work, channels, first); });
    each_block(2 * channels,
               [&](auto pairs, int first) { mix_block<Isa, decltype(pairs)::value>(layer, work, channels, first); });
  }
}

template <class Isa, int PAIRS>
__attribute__((noinline, noclone)) void dense_block(const typename Isa::Level* levels, int inputs, const DenseI8& dense,
                                                    int first, float scale, float* y) {
  typename Isa::Floats sums[kVectors<Isa, PAIRS>];
  Isa::template sums<PAIRS>(levels, inputs, dense.weights + first * inputs, nullptr, sums);
  for (int i = 0; i < kVectors<Isa, PAIRS>; ++i) {
    const int n = first + i * Isa::kFloats;
    Isa::store(y + n,
               Isa::fma(Isa::mul(sums[i], Isa::all(scale)), Isa::load(dense.scale + n), Isa::load(dense.bias + n)));
  }
}

// relu(x) through a dense layer.
template <class Isa>
inline void dense_i8(const float* x, int inputs, const DenseI8& dense, int outputs, float* y) {
  alignas(64) typename Isa::Level levels[kMaxHidden];
  const Scales scales = scales_of<Isa, true>(x, inputs, 255.0f);
  for (int k = 0; k < inputs; k += Isa::kFloats)
    Isa::store_unsigned(levels + k, Isa::mul(Isa::max(Isa::load(x + k), Isa::all(0)), Isa::all(scales.inverse)));
  each_block(outputs, [&](auto pairs, int first) {
    dense_block<Isa, decltype(pairs)::value>(levels, inputs, dense, first, scales.scale, y);
  });
}

template <class Isa>
inline void network_i8(const Stream& stream, const float* embedded, float* logits) {
  Work<Isa> work;
  std::memcpy(work.x, embedded, 4u * stream.channels);
  std::memset(work.skip, 0, 4u * stream.channels);
  if (stream.channels == 64)
    layers_i8<Isa, 64>(stream, work);
  else
    layers_i8<Isa, 0>(stream, work);
  alignas(64) float hidden[kMaxHidden];
  const int outputs = padded_classes(stream.classes);
  Parts head(stream.head_weights);
  dense_i8<Isa>(work.skip, stream.channels, DenseI8(head, stream.channels, stream.hidden), stream.hidden, hidden);
  dense_i8<Isa>(hidden, stream.hidden, DenseI8(head, stream.hidden, outputs), outputs, logits);
}

}  // namespace

}  // namespace edgekit
