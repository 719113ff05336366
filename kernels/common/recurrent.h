// What the recurrent ops share: how their weights and their scratch lie, and a call as addresses.
//
// Units come in blocks of 16, the last one filled up with zeros. All gates of a block lie together, as vectors of 16 in
// the order of ONNX, so that one pass over the weights ends in finished units:
//   bias, scale   f32 [blocks][gates][16]
//   f32 weights   [blocks][inputs][gates][16]
//   s8 weights    [blocks]{ int32 start [gates][16], s8 [inputs / 4][gates][16][4] }
// start is -128 * the sum of a unit's weights, what the zero point of 128 adds. See
// edgekit/backends/native/recurrent.py.
//
// What multiplies weights is an operand: f32 values, or for s8 weights { f32 scale, 60 bytes, u8 levels }, quantized
// from f32 values for each row and step:
//   largest = max(max |value|, 1e-30); level = round(value * (127 / largest)) + 128; scale = largest / 127
// A NaN or an infinity makes the scale NaN, and with it all that the operand gives.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/checker.h"
#include "common/params.h"
#include "common/rounding.h"

namespace edgekit {

constexpr int kUnits = 16;
constexpr int kLevelsAt = 64;              // where the levels of an operand begin
constexpr int kZeroLevel = 128;            // the level of zero
constexpr std::int64_t kMaxUnits = 65536;  // sums of so many products fit an int32
constexpr int kProjectedRows = 16;         // input rows that are multiplied in one pass over the weights

enum class WeightType { s8, f32 };

static inline int unit_blocks(int hidden) { return (hidden + kUnits - 1) / kUnits; }

// Bytes of the weights of one block of units.
static inline std::int64_t unit_block_bytes(WeightType type, int gates, int inputs) {
  const std::int64_t lanes = gates * kUnits;
  return type == WeightType::f32 ? lanes * inputs * 4 : lanes * 4 + lanes * round_up(inputs, 4);
}

// Bytes from one operand of `count` values to the next.
static inline std::int64_t operand_bytes(WeightType type, int count) {
  return type == WeightType::f32 ? round_up(4LL * count, 64) : kLevelsAt + round_up(count, 64);
}

// How many steps' inputs are multiplied at once: they do not wait for each other, and share what is read of the
// weights.
static inline int projected_steps(int steps, int rows) {
  const int fitting = kProjectedRows / rows > 1 ? kProjectedRows / rows : 1;
  return smaller(steps, fitting);
}

// Offsets into the scratch memory, in bytes.
struct ScratchLayout {
  std::int64_t inputs;     // operands of the projected inputs; none where f32 inputs are read in place
  std::int64_t hidden;     // operands of the hidden state, one for each row
  std::int64_t update;     // f32: the update gate of a row
  std::int64_t reset;      // f32: the hidden state of a row times its reset gate
  std::int64_t projected;  // f32 [projected steps][rows][blocks][gates][16]: inputs times weights, bias added
  std::int64_t bytes;
};

static inline ScratchLayout scratch_layout(WeightType type, int gates, int steps, int rows, int inputs, int hidden) {
  const std::int64_t positions = static_cast<std::int64_t>(projected_steps(steps, rows)) * rows;
  const std::int64_t unit_bytes = 4LL * kUnits * unit_blocks(hidden);
  ScratchLayout at{};
  at.hidden = type == WeightType::f32 ? 0 : positions * operand_bytes(type, inputs);
  at.update = at.hidden + rows * operand_bytes(type, hidden);
  at.reset = at.update + (gates == 3 ? unit_bytes : 0);
  at.projected = at.reset + (gates == 3 ? unit_bytes : 0);
  at.bytes = at.projected + positions * gates * unit_bytes;
  return at;
}

// A quantized row's factors, from the bits of its largest magnitude.
struct DynamicScale {
  float inverse, scale;
};

static inline DynamicScale dynamic_scale(std::uint32_t largest_bits) {
  if (largest_bits >= 0x7f800000u) return {0.0f, __builtin_nanf("")};
  float largest;
  std::memcpy(&largest, &largest_bits, 4);
  largest = largest > 1e-30f ? largest : 1e-30f;  // 127 / largest stays finite
  return {127.0f / largest, largest / 127.0f};
}

// Weights of all gates, with what turns products into gates. scale is null for f32 weights.
struct GateWeights {
  int inputs;
  const unsigned char* packed;
  const float *scale, *bias;
};

// One call of a recurrent op. Strides are in floats; output is null where nobody reads it.
struct Layer {
  int steps, rows, hidden;
  bool reverse;
  std::int64_t input_stride, input_row_stride, output_stride, output_row_stride;
  const float *input, *hidden_in;
  float *hidden_out, *output;
  GateWeights weights, recurrent;
  unsigned char* scratch;
  ScratchLayout at;
};

template <class Params>
static inline Layer layer_of(const Params* p, const Memory* memory, WeightType type, int gates) {
  return {
      p->steps,
      p->rows,
      p->hidden,
      p->reverse != 0,
      p->input_stride / 4,
      p->input_row_stride / 4,
      p->output_stride / 4,
      p->output_row_stride / 4,
      at<const float>(memory, p->input),
      at<const float>(memory, p->hidden_in),
      at<float>(memory, p->hidden_out),
      at<float>(memory, p->output),
      {p->inputs, at<const unsigned char>(memory, p->weights), nullptr, at<const float>(memory, p->bias)},
      {p->hidden, at<const unsigned char>(memory, p->recurrent), nullptr, at<const float>(memory, p->recurrent_bias)},
      at<unsigned char>(memory, p->scratch),
      scratch_layout(type, gates, p->steps, p->rows, p->inputs, p->hidden),
  };
}

// The same for s8 weights, which have scales.
template <class Params>
static inline Layer quantized_layer_of(const Params* p, const Memory* memory, int gates) {
  Layer layer = layer_of(p, memory, WeightType::s8, gates);
  layer.weights.scale = at<const float>(memory, p->weights_scale);
  layer.recurrent.scale = at<const float>(memory, p->recurrent_scale);
  return layer;
}

}  // namespace edgekit
