// The steps of a GRU layer, for any Machine of common/recurrent_steps.h.
#pragma once

#include "common/recurrent_steps.h"

namespace edgekit {

namespace {

constexpr int kGruGates = 3;  // update, reset, candidate

// One row at one step.
struct GruRow {
  unsigned char* operand;
  const float *projected, *hidden;
  float *hidden_out, *output;
};

inline GruRow gru_row(const Layer& layer, WeightType type, int step, int row, int position) {
  return {hidden_operand(layer, type, row), projected_row(layer, kGruGates, position), hidden_row(layer, step, row),
          hidden_out_row(layer, row), output_row(layer, step, row)};
}

inline float* update_gates(const Layer& layer) { return reinterpret_cast<float*>(layer.scratch + layer.at.update); }
inline float* reset_hidden(const Layer& layer) { return reinterpret_cast<float*>(layer.scratch + layer.at.reset); }

// hidden = (1 - update) * candidate + update * hidden
template <class M>
inline void blend(const Layer& layer, const GruRow& row, int block, typename M::Lanes update,
                  typename M::Lanes candidate) {
  const int first = block * kUnits, count = layer.hidden - first;
  const auto before = M::load_first(row.hidden + first, count);
  const auto hidden = M::fma(update, M::sub(before, candidate), candidate);
  M::store_first(row.hidden_out + first, count, hidden);
  if (row.output) M::store_first(row.output + first, count, hidden);
}

// A block of units whose reset gate acts on the product: one pass over its weights.
template <class M>
__attribute__((noinline, noclone)) void gru_units(const Layer& layer, const GruRow& row, int block) {
  const float* projected = row.projected + block * kGruGates * kUnits;
  typename M::Lanes sums[3];
  M::template product<0, 3, kGruGates>(row.operand, layer.recurrent, block, sums);
  const auto reset = M::sigmoid(M::add(M::load(projected + kUnits), sums[1]));
  const auto update = M::sigmoid(M::add(M::load(projected), sums[0]));
  const auto candidate = M::tanh(M::fma(reset, sums[2], M::load(projected + 2 * kUnits)));
  blend<M>(layer, row, block, update, candidate);
}

// The gates of a block of units whose reset gate acts on the hidden state: candidates wait for all of them.
template <class M>
__attribute__((noinline, noclone)) void gru_gates(const Layer& layer, const GruRow& row, int block) {
  const float* projected = row.projected + block * kGruGates * kUnits;
  const int first = block * kUnits;
  typename M::Lanes sums[2];
  M::template product<0, 2, kGruGates>(row.operand, layer.recurrent, block, sums);
  const auto reset = M::sigmoid(M::add(M::load(projected + kUnits), sums[1]));
  M::store(update_gates(layer) + first, M::sigmoid(M::add(M::load(projected), sums[0])));
  M::store(reset_hidden(layer) + first, M::mul(reset, M::load_first(row.hidden + first, layer.hidden - first)));
}

template <class M>
__attribute__((noinline, noclone)) void gru_candidates(const Layer& layer, const GruRow& row, int block) {
  const float* projected = row.projected + block * kGruGates * kUnits;
  typename M::Lanes sums[1];
  M::template product<2, 1, kGruGates>(row.operand, layer.recurrent, block, sums);
  const auto candidate = M::tanh(M::add(M::load(projected + 2 * kUnits), sums[0]));
  blend<M>(layer, row, block, M::load(update_gates(layer) + block * kUnits), candidate);
}

template <class M>
inline void gru_row_reset_before(const Layer& layer, const GruRow& row) {
  const int blocks = unit_blocks(layer.hidden);
  for (int block = 0; block < blocks; ++block) gru_gates<M>(layer, row, block);
  M::prepare(reset_hidden(layer), layer.hidden, row.operand);
  for (int block = 0; block < blocks; ++block) gru_candidates<M>(layer, row, block);
}

template <class M>
inline void run_gru(const Layer& layer, bool linear_before_reset) {
  const int blocks = unit_blocks(layer.hidden);
  run_steps<M, kGruGates>(layer, [&](int step, int position) {
    if (!linear_before_reset) {
      for (int row = 0; row < layer.rows; ++row)
        gru_row_reset_before<M>(layer, gru_row(layer, M::kType, step, row, position + row));
      return;
    }
    for (int block = 0; block < blocks; ++block)
      for (int row = 0; row < layer.rows; ++row)
        gru_units<M>(layer, gru_row(layer, M::kType, step, row, position + row), block);
  });
}

}  // namespace

}  // namespace edgekit
