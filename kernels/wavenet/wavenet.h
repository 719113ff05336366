// wavenet_i8, wavenet_f32, wavenet_bf16: an autoregressive WaveNet with its delay lines and the loop over steps inside.
//
// One step takes a code (a mu-law sample) and gives the logits of the next one:
//   x = embedding[code], skip = 0
//   for each layer: push = x; gate = W_d [past; x] + b_d; z = tanh(gate[:C]) * sigmoid(gate[C:]);
//                   mix = W_m z + b_m; x += mix[:C]; skip += mix[C:]        past: the push of `dilation` steps before
//   logits = W_o relu(W_h relu(skip) + b_h) + b_o
// C = channels. Sums are f32; tanh * sigmoid is that of gate.h. The weights are f32, or bf16 that are widened to f32.
//
// wavenet_i8 quantizes what each product takes, and every row gives the same bits (divisions of IEEE, fma):
//   x, past: s8, scale = max|x| / 127 of each vector; z: s8, scale 1 / 127
//   relu(skip), relu(hidden): u8, scale = max / 255
//   gate = fma(fma(dot_x, scale_x, dot_past * scale_past), scale_d[n], b_d[n])
//   x = fma(dot_z + b_m[n], scale_m[n], x), skip likewise
//   hidden = fma(dot * scale_skip, scale_h[n], b_h[n]), logits likewise
// where a dot product is an int32 that is turned into a float.
//
// steps, given: step t takes codes[t] while t < given, then the code that was drawn after step t - 1. given = steps is
// teacher-forced; given = 0 (or codes left unbound) goes on from the code that the state drew last, at first `start`.
// A code is clamped to 0 .. levels - 1. Codes are drawn where a step takes them, or all of them where `samples` is
// bound: see sample.h.
// temperature: f32 (1,); where absent or unbound, or below 1e-6: the largest logit. seed: int64 (1,); absent: 0.
//
// codes: (given,) int32 or int64 as code_bytes says. samples: (steps,) of the same. logits: f32 (steps, classes).
// past: f32 (layers, 1, C), one step only: where it is bound, delay lines are neither read nor written.
// push: f32 (layers, 1, C), one step only: written where it is bound.
// state: zeros at first: steps so far (u64), last code - start (i32), 0 up to byte 64; then a ring of `dilation` slots
//   for each layer: [slots][C] f32; of wavenet_i8 [slots][C] s8, and after all of those the scales, [slots] f32.
// embedding: f32 (levels, C). dilations: int32 (layers,), in the constants.
// layers, head: one part after another, in the order of weights.h, packed by edgekit/backends/native/pack_wavenet.py.
// Nothing that is written may overlap what is read. User tensors are aligned to 4 bytes, the others to 64.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_WAVENET_FIELDS(REF, I32, F32)                                                  \
  REF(codes) REF(past) REF(seed) REF(temperature) REF(logits) REF(push) REF(samples)           \
  REF(state) REF(embedding) REF(dilations) REF(layers) REF(head)                               \
  I32(steps) I32(given) I32(code_bytes) I32(start) I32(layer_count) I32(channels) I32(levels)  \
  I32(hidden) I32(classes)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(WavenetI8, EDGEKIT_WAVENET_FIELDS)
EDGEKIT_DECLARE_PARAMS(WavenetF32, EDGEKIT_WAVENET_FIELDS)
EDGEKIT_DECLARE_PARAMS(WavenetBf16, EDGEKIT_WAVENET_FIELDS)

void check(const WavenetI8& params, const Checker& checker);
void check(const WavenetF32& params, const Checker& checker);
void check(const WavenetBf16& params, const Checker& checker);

}  // namespace edgekit
