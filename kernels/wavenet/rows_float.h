// wavenet_f32 and wavenet_bf16 for any vector of floats: Isa is one of vector_*.h, Weight float or std::uint16_t
// (bf16).
#pragma once

#include <cstdint>
#include <cstring>

#include "wavenet/stream.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

// What a layer works on. before: the past's part of the gate.
struct FloatWork {
  alignas(64) float x[kMaxChannels], skip[kMaxChannels], before[2 * kMaxChannels], z[kMaxChannels];
};

template <class Isa>
constexpr int kHalf = 16 / Isa::kFloats;  // vectors for 16 outputs

// A block of 32 * PAIRS outputs, as sums[pair][0: the first 16 outputs, 1: the others][vector].
template <class Isa, int PAIRS>
struct Block {
  typename Isa::Floats sums[PAIRS][2][kHalf<Isa>];

  static int output(int pair, int side, int vector) { return pair * 32 + side * 16 + vector * Isa::kFloats; }

  // f(sum, output in the block) for each vector.
  template <class F>
  void each(F f) {
    for (int pair = 0; pair < PAIRS; ++pair)
      for (int side = 0; side < 2; ++side)
        for (int vector = 0; vector < kHalf<Isa>; ++vector) f(sums[pair][side][vector], output(pair, side, vector));
  }

  template <class Weight>
  void add_products(const float* x, int inputs, const Weight* weights) {
    for (int k = 0; k < inputs; ++k) {
      const typename Isa::Floats input = Isa::all(x[k]);
      for (int pair = 0; pair < PAIRS; ++pair)
        for (int vector = 0; vector < kHalf<Isa>; ++vector) {
          constexpr int kBetween = sizeof(Weight) == 2 ? 2 : 1;  // bf16 outputs of both sides lie side by side
          typename Isa::Floats first, second;
          Isa::load_pair(weights + pair * 32 + vector * Isa::kFloats * kBetween, &first, &second);
          sums[pair][0][vector] = Isa::fma(input, first, sums[pair][0][vector]);
          sums[pair][1][vector] = Isa::fma(input, second, sums[pair][1][vector]);
        }
      weights += PAIRS * 32;
    }
  }
};

template <class Isa, class Weight, int PAIRS>
inline void past_block(const LayerFloat<Weight>& layer, const float* past, FloatWork& work, int channels, int first) {
  using Floats = typename Isa::Floats;
  Block<Isa, PAIRS> block;
  block.each([&](Floats& sum, int n) { sum = Isa::load(layer.bias + first + n); });
  block.add_products(past, channels, layer.past + first * channels);
  block.each([&](Floats& sum, int n) { Isa::store(work.before + first + n, sum); });
}

template <class Isa, class Weight, int PAIRS>
inline void gate_block(const LayerFloat<Weight>& layer, FloatWork& work, int channels, int first) {
  using Floats = typename Isa::Floats;
  Block<Isa, PAIRS> block;
  block.each([&](Floats& sum, int n) { sum = Isa::load(work.before + first + n); });
  block.add_products(work.x, channels, layer.gate + first * channels);
  for (int pair = 0; pair < PAIRS; ++pair)
    for (int vector = 0; vector < kHalf<Isa>; ++vector)
      Isa::store(work.z + first / 2 + pair * 16 + vector * Isa::kFloats,
                 Isa::gate(block.sums[pair][0][vector], block.sums[pair][1][vector]));
}

template <class Isa, class Weight, int PAIRS>
inline void mix_block(const LayerFloat<Weight>& layer, FloatWork& work, int channels, int first) {
  using Floats = typename Isa::Floats;
  const auto to = [&](int n) { return first + n < channels ? work.x + first + n : work.skip + first + n - channels; };
  Block<Isa, PAIRS> block;
  block.each([&](Floats& sum, int n) { sum = Isa::add(Isa::load(layer.mix_bias + first + n), Isa::load(to(n))); });
  block.add_products(work.z, channels, layer.mix + first * channels);
  block.each([&](Floats& sum, int n) { Isa::store(to(n), sum); });
}

template <class Isa, class Weight, int CHANNELS>  // CHANNELS 0: as many as the stream has
__attribute__((noinline, noclone)) void layers_float(const Stream& stream, FloatWork& work) {
  const int channels = CHANNELS ? CHANNELS : stream.channels;
  Parts parts(stream.layer_weights);
  std::int64_t first_slot = 0;
  for (int index = 0; index < stream.layers; ++index) {
    const LayerFloat<Weight> layer(parts, channels);
    auto* ring = reinterpret_cast<float*>(stream.ring(first_slot + stream.slot[index], 4 * channels));
    const float* past = stream.has_rings() ? ring : stream.past + index * channels;
    first_slot += stream.dilations[index];
    each_block(2 * channels, [&](auto pairs, int first) {
      past_block<Isa, Weight, decltype(pairs)::value>(layer, past, work, channels, first);
    });
    if (stream.has_rings()) std::memcpy(ring, work.x, 4u * channels);
    if (stream.push) std::memcpy(stream.push + index * channels, work.x, 4u * channels);
    each_block(2 * channels, [&](auto pairs, int first) {
      gate_block<Isa, Weight, decltype(pairs)::value>(layer, work, channels, first);
    });
    each_block(2 * channels, [&](auto pairs, int first) {
      mix_block<Isa, Weight, decltype(pairs)::value>(layer, work, channels, first);
    });
  }
}

template <class Isa, class Weight, int PAIRS>
__attribute__((noinline, noclone)) void dense_block(const float* x, int inputs, const float* bias,
                                                    const Weight* weights, float* y) {
  using Floats = typename Isa::Floats;
  Block<Isa, PAIRS> block;
  block.each([&](Floats& sum, int n) { sum = Isa::load(bias + n); });
  block.add_products(x, inputs, weights);
  block.each([&](Floats& sum, int n) { Isa::store(y + n, sum); });
}

// relu(x) through a dense layer; x is changed.
template <class Isa, class Weight>
inline void dense_float(float* x, int inputs, const DenseFloat<Weight>& dense, int outputs, float* y) {
  for (int k = 0; k < inputs; k += Isa::kFloats) Isa::store(x + k, Isa::max(Isa::load(x + k), Isa::all(0)));
  each_block(outputs, [&](auto pairs, int first) {
    dense_block<Isa, Weight, decltype(pairs)::value>(x, inputs, dense.bias + first, dense.weights + first * inputs,
                                                     y + first);
  });
}

template <class Isa, class Weight>
inline void network_float(const Stream& stream, const float* embedded, float* logits) {
  FloatWork work;
  std::memcpy(work.x, embedded, 4u * stream.channels);
  std::memset(work.skip, 0, 4u * stream.channels);
  if (stream.channels == 64)
    layers_float<Isa, Weight, 64>(stream, work);
  else
    layers_float<Isa, Weight, 0>(stream, work);
  alignas(64) float hidden[kMaxHidden];
  const int outputs = padded_classes(stream.classes);
  Parts head(stream.head_weights);
  dense_float<Isa>(work.skip, stream.channels, DenseFloat<Weight>(head, stream.channels, stream.hidden), stream.hidden,
                   hidden);
  dense_float<Isa>(hidden, stream.hidden, DenseFloat<Weight>(head, stream.hidden, outputs), outputs, logits);
}

}  // namespace

}  // namespace edgekit
