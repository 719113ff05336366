#include <cmath>

#include "ops.h"
#include "wavenet/gate.h"
#include "wavenet/stream.h"

namespace edgekit {

namespace {

// The largest |x| of a vector, and what divides it into levels up to `highest`.
struct Levels {
  float scale, inverse;

  Levels(const float* x, int count, float highest) {
    float most = 1e-30f;
    for (int i = 0; i < count; ++i) most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
    scale = most / highest;
    inverse = highest / most;
  }
};

// first + the products of output n, as a float; more than an int32 holds wraps.
float dot(std::int32_t first, const std::uint8_t* x, const std::int8_t* weights, int outputs, int inputs, int n) {
  std::uint32_t sum = static_cast<std::uint32_t>(first);
  for (int k = 0; k < inputs; ++k)
    sum += static_cast<std::uint32_t>(x[k] * packed_weight(weights, outputs, inputs, n, k));
  return static_cast<float>(static_cast<std::int32_t>(sum));
}

float weight_at(const float* weights, int outputs, int inputs, int n, int k) {
  const int first = n / kBlockOutputs * kBlockOutputs;
  return weights[first * inputs + k * block_width(outputs, first) + n - first];
}

float weight_at(const std::uint16_t* weights, int outputs, int inputs, int n, int k) {
  const int first = n / kBlockOutputs * kBlockOutputs;
  const int lane = (n - first) / 32 * 32 + n % 16 * 2 + n / 16 % 2;
  const std::uint32_t bits =
      static_cast<std::uint32_t>(weights[first * inputs + k * block_width(outputs, first) + lane]) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <class Weight>
float dot(const float* x, const Weight* weights, int outputs, int inputs, int n) {
  float sum = 0;
  for (int k = 0; k < inputs; ++k) sum += x[k] * weight_at(weights, outputs, inputs, n, k);
  return sum;
}

// A layer's past as s8 levels and their scale; what entered it takes their place.
void exchange_past(const Stream& stream, int layer, std::int64_t slot, const Levels& levels, std::uint8_t* x,
                   std::uint8_t* past, float* past_scale) {
  const int channels = stream.channels;
  if (!stream.has_rings()) {
    const float* given = stream.past + layer * channels;
    const Levels found(given, channels, 127);
    for (int i = 0; i < channels; ++i) past[i] = requantize(given[i] * found.inverse, 128, 0, 255);
    *past_scale = found.scale;
    return;
  }
  unsigned char* ring = stream.ring(slot, channels);
  for (int i = 0; i < channels; ++i) {
    past[i] = ring[i] ^ 0x80;  // zeros of a fresh state are level 0
    ring[i] = x[i] ^ 0x80;
  }
  *past_scale = stream.scales()[slot];
  stream.scales()[slot] = levels.scale;
}

void layer_i8(const Stream& stream, const LayerI8& layer, int index, std::int64_t slot, float* x, float* skip) {
  const int channels = stream.channels, outputs = 2 * channels;
  std::uint8_t levels[kMaxChannels], past[kMaxChannels], z[kMaxChannels];
  const Levels scaled(x, channels, 127);
  for (int i = 0; i < channels; ++i) levels[i] = requantize(x[i] * scaled.inverse, 128, 0, 255);
  float past_scale;
  exchange_past(stream, index, slot, scaled, levels, past, &past_scale);
  for (int channel = 0; channel < channels; ++channel) {
    float value[2];
    for (int half = 0; half < 2; ++half) {
      const int n = gate_output(channel) + 16 * half;
      const float before = dot(layer.past_init[n], past, layer.past, outputs, channels, n) * past_scale;
      const float both = std::fma(dot(layer.init[n], levels, layer.gate, outputs, channels, n), scaled.scale, before);
      value[half] = std::fma(both, layer.scale[n], layer.bias[n]);
    }
    z[channel] = requantize(gate(value[0], value[1]) * 127.0f, 128, 0, 255);
  }
  for (int n = 0; n < outputs; ++n) {
    float* to = n < channels ? x + n : skip + n - channels;
    *to = std::fma(dot(layer.mix_init[n], z, layer.mix, outputs, channels, n), layer.mix_scale[n], *to);
  }
}

// relu(x) through a dense layer.
void dense_i8(const float* x, int inputs, const DenseI8& dense, int outputs, float* y) {
  float positive[kMaxHidden];
  std::uint8_t levels[kMaxHidden];
  for (int k = 0; k < inputs; ++k) positive[k] = x[k] > 0 ? x[k] : 0;
  const Levels scaled(positive, inputs, 255);
  for (int k = 0; k < inputs; ++k) levels[k] = requantize(positive[k] * scaled.inverse, 0, 0, 255);
  for (int n = 0; n < outputs; ++n) {
    const float sum = dot(0, levels, dense.weights, outputs, inputs, n);
    y[n] = std::fma(sum * scaled.scale, dense.scale[n], dense.bias[n]);
  }
}

void network_i8(const Stream& stream, const float* embedded, float* logits) {
  float x[kMaxChannels], skip[kMaxChannels] = {}, hidden[kMaxHidden];
  std::memcpy(x, embedded, 4u * stream.channels);
  Parts parts(stream.layer_weights);
  std::int64_t first_slot = 0;
  for (int i = 0; i < stream.layers; ++i) {
    if (stream.push) std::memcpy(stream.push + i * stream.channels, x, 4u * stream.channels);
    layer_i8(stream, LayerI8(parts, stream.channels), i, first_slot + stream.slot[i], x, skip);
    first_slot += stream.dilations[i];
  }
  Parts head(stream.head_weights);
  dense_i8(skip, stream.channels, DenseI8(head, stream.channels, stream.hidden), stream.hidden, hidden);
  const int outputs = padded_classes(stream.classes);
  dense_i8(hidden, stream.hidden, DenseI8(head, stream.hidden, outputs), outputs, logits);
}

template <class Weight>
void layer_float(const LayerFloat<Weight>& layer, int channels, const float* past, float* x, float* skip) {
  const int outputs = 2 * channels;
  float z[kMaxChannels];
  for (int channel = 0; channel < channels; ++channel) {
    float value[2];
    for (int half = 0; half < 2; ++half) {
      const int n = gate_output(channel) + 16 * half;
      value[half] =
          layer.bias[n] + dot(past, layer.past, outputs, channels, n) + dot(x, layer.gate, outputs, channels, n);
    }
    z[channel] = gate(value[0], value[1]);
  }
  for (int n = 0; n < outputs; ++n)
    (n < channels ? x[n] : skip[n - channels]) += layer.mix_bias[n] + dot(z, layer.mix, outputs, channels, n);
}

// relu(x) through a dense layer.
template <class Weight>
void dense_float(const float* x, int inputs, const DenseFloat<Weight>& dense, int outputs, float* y) {
  float positive[kMaxHidden];
  for (int k = 0; k < inputs; ++k) positive[k] = x[k] > 0 ? x[k] : 0;
  for (int n = 0; n < outputs; ++n) y[n] = dense.bias[n] + dot(positive, dense.weights, outputs, inputs, n);
}

template <class Weight>
void network_float(const Stream& stream, const float* embedded, float* logits) {
  const int channels = stream.channels;
  const std::size_t bytes = 4u * channels;
  float x[kMaxChannels], past[kMaxChannels], skip[kMaxChannels] = {}, hidden[kMaxHidden];
  std::memcpy(x, embedded, bytes);
  Parts parts(stream.layer_weights);
  std::int64_t first_slot = 0;
  for (int i = 0; i < stream.layers; ++i) {
    unsigned char* ring = stream.ring(first_slot + stream.slot[i], 4 * channels);
    std::memcpy(past, stream.has_rings() ? ring : reinterpret_cast<const unsigned char*>(stream.past) + i * bytes,
                bytes);
    if (stream.has_rings()) std::memcpy(ring, x, bytes);
    if (stream.push) std::memcpy(stream.push + i * channels, x, bytes);
    layer_float(LayerFloat<Weight>(parts, channels), channels, past, x, skip);
    first_slot += stream.dilations[i];
  }
  Parts head(stream.head_weights);
  dense_float(skip, channels, DenseFloat<Weight>(head, channels, stream.hidden), stream.hidden, hidden);
  const int outputs = padded_classes(stream.classes);
  dense_float(hidden, stream.hidden, DenseFloat<Weight>(head, stream.hidden, outputs), outputs, logits);
}

}  // namespace

extern "C" void edgekit_wavenet_i8_scalar(const WavenetI8* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_i8);
}

extern "C" void edgekit_wavenet_f32_scalar(const WavenetF32* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<float>);
}

extern "C" void edgekit_wavenet_bf16_scalar(const WavenetBf16* p, const Memory* memory) {
  Stream stream(p, memory);
  run_steps(stream, network_float<std::uint16_t>);
}

}  // namespace edgekit
