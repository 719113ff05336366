// The steps of an LSTM layer, for any Machine of common/recurrent_steps.h.
#pragma once

#include "common/recurrent_steps.h"

namespace edgekit {

namespace {

constexpr int kLstmGates = 4;  // input, output, forget, cell

// One row at one step.
struct LstmRow {
  const unsigned char* operand;
  const float *projected, *cell;
  float *cell_out, *hidden_out, *output;
};

// A block of units of one row: one pass over its weights.
template <class M>
__attribute__((noinline, noclone)) void lstm_units(const Layer& layer, const LstmRow& row, int block) {
  typename M::Lanes sums[kLstmGates];
  M::template product<0, kLstmGates, kLstmGates>(row.operand, layer.recurrent, block, sums);
  for (int gate = 0; gate < kLstmGates; ++gate)
    sums[gate] = M::add(M::load(row.projected + (block * kLstmGates + gate) * kUnits), sums[gate]);

  const int first = block * kUnits, count = layer.hidden - first;
  const auto added = M::mul(M::sigmoid(sums[0]), M::tanh(sums[3]));
  const auto cell = M::fma(M::sigmoid(sums[2]), M::load_first(row.cell + first, count), added);
  const auto hidden = M::mul(M::sigmoid(sums[1]), M::tanh(cell));
  M::store_first(row.cell_out + first, count, cell);
  M::store_first(row.hidden_out + first, count, hidden);
  if (row.output) M::store_first(row.output + first, count, hidden);
}

template <class M>
inline void run_lstm(const Layer& layer, const float* cell_in, float* cell_out) {
  const int blocks = unit_blocks(layer.hidden);
  run_steps<M, kLstmGates>(layer, [&](int step, int position) {
    for (int block = 0; block < blocks; ++block)
      for (int row = 0; row < layer.rows; ++row) {
        const std::int64_t at = static_cast<std::int64_t>(row) * layer.hidden;
        lstm_units<M>(
            layer,
            {hidden_operand(layer, M::kType, row), projected_row(layer, kLstmGates, position + row),
             (step ? cell_out : cell_in) + at, cell_out + at, layer.hidden_out + at, output_row(layer, step, row)},
            block);
      }
  });
}

}  // namespace

}  // namespace edgekit
