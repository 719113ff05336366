#include "ops.h"
namespace edgekit {
extern "C" void edgekit_conv2d_u8_avx2(const Conv2dU8* p, const Memory* memory) { edgekit_conv2d_u8_scalar(p, memory); }
}  // namespace edgekit
