// The headers of every op, and the declaration of every kernel in kernels.inc.
#pragma once

#include "activation_f32/activation_f32.h"
#include "add_u8/add_u8.h"
#include "binary_f32/binary_f32.h"
#include "border_u8/border_u8.h"
#include "conv2d_u8/conv2d_u8.h"
#include "dense_f32/dense_f32.h"
#include "dense_u8/dense_u8.h"
#include "depthwise_u8/depthwise_u8.h"
#include "dequantize_u8/dequantize_u8.h"
#include "gru_f32/gru_f32.h"
#include "gru_i8/gru_i8.h"
#include "layernorm_f32/layernorm_f32.h"
#include "lookup_u8/lookup_u8.h"
#include "lstm_f32/lstm_f32.h"
#include "lstm_i8/lstm_i8.h"
#include "pool_u8/pool_u8.h"
#include "quantize_u8/quantize_u8.h"
#include "softmax_f32/softmax_f32.h"
#include "wavenet/wavenet.h"

namespace edgekit {

extern "C" {
#define EDGEKIT_KERNEL(op, Params, row) void edgekit_##op##_##row(const Params* params, const Memory* memory);
#include "kernels.inc"
#undef EDGEKIT_KERNEL
}

}  // namespace edgekit
