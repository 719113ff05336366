// The walk of a recurrent op over its steps, the same for every instruction set and type of weights.
//
// A Machine M says how 16 units are computed:
//   M::Lanes                            16 floats; M::load, store, load_first, store_first, add, sub, mul, fma, sigmoid
//                                       and tanh work on them
//   M::kType                            the type of its weights
//   M::prepare(values, count, room)     writes an operand that stands for `count` f32 values
//   M::product<FIRST, COUNT, GATES>(operand, weights, block, sums)
//                                       COUNT gates from FIRST of a block of units: operand times weights, plus bias
//   M::kTogether                        1, or how many operands it multiplies at once:
//   M::products<GATES>(operands, weights, block, sums)
//                                       all gates of a block of units, for each of them
// Nothing here has an address that another instruction set's file could share: all is in anonymous namespaces.
#pragma once

#include "common/recurrent.h"

namespace edgekit {

namespace {

inline const float* input_row(const Layer& layer, int step, int row) {
  const std::int64_t at = layer.reverse ? layer.steps - 1 - step : step;
  return layer.input + at * layer.input_stride + row * layer.input_row_stride;
}

// Where the hidden state of `row` goes as an output, or null.
inline float* output_row(const Layer& layer, int step, int row) {
  const std::int64_t at = layer.reverse ? layer.steps - 1 - step : step;
  return layer.output ? layer.output + at * layer.output_stride + row * layer.output_row_stride : nullptr;
}

// The hidden state of `row` before `step`, and where it goes.
inline const float* hidden_row(const Layer& layer, int step, int row) {
  return (step ? layer.hidden_out : layer.hidden_in) + static_cast<std::int64_t>(row) * layer.hidden;
}

inline float* hidden_out_row(const Layer& layer, int row) {
  return layer.hidden_out + static_cast<std::int64_t>(row) * layer.hidden;
}

inline unsigned char* hidden_operand(const Layer& layer, WeightType type, int row) {
  return layer.scratch + layer.at.hidden + row * operand_bytes(type, layer.hidden);
}

// What input row number `position` adds to the gates: [blocks][gates][16].
inline float* projected_row(const Layer& layer, int gates, int position) {
  const std::int64_t floats = static_cast<std::int64_t>(unit_blocks(layer.hidden)) * gates * kUnits;
  return reinterpret_cast<float*>(layer.scratch + layer.at.projected) + position * floats;
}

template <class M>
inline void prepare_hidden(const Layer& layer, int step) {
  for (int row = 0; row < layer.rows; ++row)
    M::prepare(hidden_row(layer, step, row), layer.hidden, hidden_operand(layer, M::kType, row));
}

// The operand of an input row; f32 rows are read in place.
template <class M>
inline const unsigned char* input_operand(const Layer& layer, int first_step, int position) {
  const int step = first_step + position / layer.rows, row = position % layer.rows;
  if (M::kType == WeightType::f32) return reinterpret_cast<const unsigned char*>(input_row(layer, step, row));
  return layer.scratch + position * operand_bytes(M::kType, layer.weights.inputs);
}

template <class M>
inline void prepare_inputs(const Layer& layer, int first_step, int positions) {
  if (M::kType == WeightType::f32) return;
  for (int position = 0; position < positions; ++position) {
    const int step = first_step + position / layer.rows, row = position % layer.rows;
    M::prepare(input_row(layer, step, row), layer.weights.inputs,
               layer.scratch + position * operand_bytes(M::kType, layer.weights.inputs));
  }
}

template <class M, int GATES>
__attribute__((noinline, noclone)) void project_units(const GateWeights& weights, const unsigned char* operand,
                                                      int block, float* projected) {
  typename M::Lanes sums[GATES];
  M::template product<0, GATES, GATES>(operand, weights, block, sums);
  for (int gate = 0; gate < GATES; ++gate) M::store(projected + (block * GATES + gate) * kUnits, sums[gate]);
}

// The same for M::kTogether input rows from `position` on.
template <class M, int GATES>
__attribute__((noinline, noclone)) void project_together(const Layer& layer, int first_step, int position, int block) {
  const unsigned char* operands[M::kTogether];
  for (int i = 0; i < M::kTogether; ++i) operands[i] = input_operand<M>(layer, first_step, position + i);
  typename M::Lanes sums[M::kTogether][GATES];
  M::template products<GATES>(operands, layer.weights, block, sums);
  for (int i = 0; i < M::kTogether; ++i)
    for (int gate = 0; gate < GATES; ++gate)
      M::store(projected_row(layer, GATES, position + i) + (block * GATES + gate) * kUnits, sums[i][gate]);
}

// What the inputs of `steps` steps add to the gates. Rows are the inner loop: they find the weights in the cache.
template <class M, int GATES>
inline void project(const Layer& layer, int first_step, int steps) {
  const int positions = steps * layer.rows;
  prepare_inputs<M>(layer, first_step, positions);
  for (int block = 0; block < unit_blocks(layer.hidden); ++block) {
    int position = 0;
    if constexpr (M::kTogether > 1)
      for (; position + M::kTogether <= positions; position += M::kTogether)
        project_together<M, GATES>(layer, first_step, position, block);
    for (; position < positions; ++position)
      project_units<M, GATES>(layer.weights, input_operand<M>(layer, first_step, position), block,
                              projected_row(layer, GATES, position));
  }
}

// Runs a layer: advance(step, position) finds the hidden operands prepared, and the projected rows from `position` on.
template <class M, int GATES, class Advance>
inline void run_steps(const Layer& layer, const Advance& advance) {
  const int chunk = projected_steps(layer.steps, layer.rows);
  for (int first = 0; first < layer.steps; first += chunk) {
    const int count = smaller(chunk, layer.steps - first);
    prepare_hidden<M>(layer, first);  // ahead of the long product, which hides how long it takes
    project<M, GATES>(layer, first, count);
    for (int i = 0; i < count; ++i) {
      if (i) prepare_hidden<M>(layer, first + i);
      advance(first + i, i * layer.rows);
    }
  }
}

}  // namespace

}  // namespace edgekit
