// What the rows of every WaveNet share: a call's parameters, its delay lines, and the loop over steps.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "common/params.h"
#include "wavenet/sample.h"
#include "wavenet/weights.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

constexpr std::int64_t kStateHeader = 64;

struct Stream {
  int steps, given, code_bytes, start, layers, channels, levels, hidden, classes;
  const unsigned char* codes;
  unsigned char* samples;
  float *logits, *push;
  const float *past, *embedding;
  const unsigned char *layer_weights, *head_weights;
  const std::int32_t* dilations;
  unsigned char* state;
  std::uint64_t seed = 0;
  float temperature = 0;
  std::uint64_t step = 0;  // since the state was zeros
  std::int64_t slots = 0;  // of all rings
  int slot[kMaxLayers];    // of each ring at this step: what is read from it, then written

  template <class Params>
  Stream(const Params* p, const Memory* memory);

  bool has_rings() const { return past == nullptr; }
  unsigned char* ring(std::int64_t at, std::int64_t slot_bytes) const { return state + kStateHeader + at * slot_bytes; }
  float* scales() const { return reinterpret_cast<float*>(state + kStateHeader + slots * channels); }  // wavenet_i8
};

template <class Params>
inline Stream::Stream(const Params* p, const Memory* memory)
    : steps(p->steps),
      given(p->given),
      code_bytes(p->code_bytes),
      start(p->start),
      layers(p->layer_count),
      channels(p->channels),
      levels(p->levels),
      hidden(p->hidden),
      classes(p->classes),
      codes(at<const unsigned char>(memory, p->codes)),
      samples(at<unsigned char>(memory, p->samples)),
      logits(at<float>(memory, p->logits)),
      push(at<float>(memory, p->push)),
      past(at<const float>(memory, p->past)),
      embedding(at<const float>(memory, p->embedding)),
      layer_weights(at<const unsigned char>(memory, p->layers)),
      head_weights(at<const unsigned char>(memory, p->head)),
      dilations(at<const std::int32_t>(memory, p->dilations)),
      state(at<unsigned char>(memory, p->state)) {
  if (!codes) given = 0;
  if (const auto* bytes = at<const unsigned char>(memory, p->seed)) std::memcpy(&seed, bytes, 8);
  if (const auto* bytes = at<const unsigned char>(memory, p->temperature)) std::memcpy(&temperature, bytes, 4);
  std::memcpy(&step, state, 8);
  for (int layer = 0; layer < layers; ++layer) {
    slot[layer] = static_cast<int>(step % static_cast<std::uint64_t>(dilations[layer]));
    slots += dilations[layer];
  }
}

inline std::int64_t code_at(const Stream& stream, int step) {
  std::int64_t code = 0;
  if (stream.code_bytes == 8) {
    std::memcpy(&code, stream.codes + step * 8LL, 8);
    return code;
  }
  std::int32_t narrow;
  std::memcpy(&narrow, stream.codes + step * 4LL, 4);
  return narrow;
}

inline void put_sample(const Stream& stream, int step, std::int64_t code) {
  const std::int32_t narrow = static_cast<std::int32_t>(code);
  if (stream.code_bytes == 8)
    std::memcpy(stream.samples + step * 8LL, &code, 8);
  else
    std::memcpy(stream.samples + step * 4LL, &narrow, 4);
}

inline void next_slots(Stream& stream) {
  for (int layer = 0; layer < stream.layers; ++layer)
    stream.slot[layer] = stream.slot[layer] + 1 == stream.dilations[layer] ? 0 : stream.slot[layer] + 1;
}

// f(pairs, first) for every block of `outputs`, a multiple of 32; pairs: its 32s, as a type.
template <class F>
inline void each_block(int outputs, F f) {
  int first = 0;
  for (; first + kBlockOutputs <= outputs; first += kBlockOutputs) f(std::integral_constant<int, 2>(), first);
  if (first < outputs) f(std::integral_constant<int, 1>(), first);
}

// Runs every step; network(stream, x, logits) gives the logits for an embedded code x (channels,), in room for
// padded_classes(classes) of them.
template <class Network>
inline void run_steps(Stream& stream, Network network) {
  alignas(64) float logits[kMaxClasses];
  std::int32_t offset;
  std::memcpy(&offset, stream.state + 8, 4);
  std::int64_t last = static_cast<std::int64_t>(stream.start) + offset;
  for (int t = 0; t < stream.steps; ++t) {
    std::int64_t code = t < stream.given ? code_at(stream, t) : last;
    code = code < 0 ? 0 : code >= stream.levels ? stream.levels - 1 : code;
    network(stream, stream.embedding + code * stream.channels, logits);
    if (stream.logits)
      std::memcpy(stream.logits + static_cast<std::int64_t>(t) * stream.classes, logits, 4u * stream.classes);
    if (stream.samples || (stream.given < stream.steps && t + 1 >= stream.given))
      last = sample(logits, stream.classes, stream.temperature, stream.seed, stream.step);
    if (stream.samples) put_sample(stream, t, last);
    ++stream.step;
    next_slots(stream);
  }
  offset = static_cast<std::int32_t>(last - stream.start);
  std::memcpy(stream.state, &stream.step, 8);
  std::memcpy(stream.state + 8, &offset, 4);
}

}  // namespace

}  // namespace edgekit
