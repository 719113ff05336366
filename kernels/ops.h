// The headers of every op, and the declaration of every kernel in kernels.inc.
#pragma once

#include "dense_u8/dense_u8.h"
#include "wavenet/wavenet.h"

namespace edgekit {

extern "C" {
#define EDGEKIT_KERNEL(op, Params, row) void edgekit_##op##_##row(const Params* params, const Memory* memory);
#include "kernels.inc"
#undef EDGEKIT_KERNEL
}

}  // namespace edgekit
