// Where the weights of a WaveNet lie: the parts of a layer and of the head one after another, as they are read.
//
// N = 2 * channels outputs. Of the gate they are mixed: 16 of tanh, 16 of sigmoid for the same channels, and so on.
// Weights of wavenet_i8 are packed as common/packed.h says; those of wavenet_f32 in blocks of 64 outputs (the last one
// narrower), each [inputs][outputs]; those of wavenet_bf16 likewise, but 32 outputs are mixed: 0, 16, 1, 17, ...
#pragma once

#include <cstdint>

#include "common/packed.h"

namespace edgekit {

namespace {  // each file has its own: they are compiled for different instruction sets

constexpr int kMaxLayers = 64;
constexpr int kMaxChannels = 256;
constexpr int kMaxHidden = 1024;
constexpr int kMaxClasses = 1024;
constexpr int kPairOutputs = 32;  // outputs are filled up to a multiple of this

// The parts of a layer or head, taken one after another.
class Parts {
 public:
  explicit Parts(const unsigned char* at) : at_(at) {}
  template <class T>
  const T* take(std::int64_t count) {
    const T* part = reinterpret_cast<const T*>(at_);
    at_ += count * static_cast<std::int64_t>(sizeof(T));
    return part;
  }
  const unsigned char* end() const { return at_; }

 private:
  const unsigned char* at_;
};

// gate = scale * (past * past_scale + x * x_scale) + bias, where the sums of products begin with the inits.
// Levels of x, past and z are read with 128 added: an init is -128 times the sum of an output's weights.
struct LayerI8 {
  const std::int32_t* past_init;
  const std::int8_t* past;
  const std::int32_t* init;
  const std::int8_t* gate;
  const float *scale, *bias;
  const std::int32_t* mix_init;  // the bias in it
  const float* mix_scale;        // that of z in it
  const std::int8_t* mix;

  LayerI8(Parts& parts, int channels) {
    const int outputs = 2 * channels;
    past_init = parts.take<std::int32_t>(outputs);
    past = parts.take<std::int8_t>(outputs * channels);
    init = parts.take<std::int32_t>(outputs);
    gate = parts.take<std::int8_t>(outputs * channels);
    scale = parts.take<float>(outputs);
    bias = parts.take<float>(outputs);
    mix_init = parts.take<std::int32_t>(outputs);
    mix_scale = parts.take<float>(outputs);
    mix = parts.take<std::int8_t>(outputs * channels);
  }
};

struct DenseI8 {
  const float *scale, *bias;
  const std::int8_t* weights;

  DenseI8(Parts& parts, int inputs, int outputs) {
    scale = parts.take<float>(outputs);
    bias = parts.take<float>(outputs);
    weights = parts.take<std::int8_t>(outputs * inputs);
  }
};

template <class Weight>  // float, or std::uint16_t: bf16
struct LayerFloat {
  const float* bias;
  const Weight *past, *gate;
  const float* mix_bias;
  const Weight* mix;

  LayerFloat(Parts& parts, int channels) {
    const int outputs = 2 * channels;
    bias = parts.take<float>(outputs);
    past = parts.take<Weight>(outputs * channels);
    gate = parts.take<Weight>(outputs * channels);
    mix_bias = parts.take<float>(outputs);
    mix = parts.take<Weight>(outputs * channels);
  }
};

template <class Weight>
struct DenseFloat {
  const float* bias;
  const Weight* weights;

  DenseFloat(Parts& parts, int inputs, int outputs) {
    bias = parts.take<float>(outputs);
    weights = parts.take<Weight>(outputs * inputs);
  }
};

inline int padded_classes(int classes) { return static_cast<int>(round_up(classes, kPairOutputs)); }

// Where the gate's output for tanh of a channel is; that for sigmoid lies 16 behind.
inline int gate_output(int channel) { return channel / 16 * 32 + channel % 16; }

}  // namespace

}  // namespace edgekit
