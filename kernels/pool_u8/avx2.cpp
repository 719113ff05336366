#include "pool_u8/pool_bytes.h"

namespace edgekit {

extern "C" void edgekit_pool_u8_avx2(const PoolU8* p, const Memory* memory) {
  for (int first = 0; first < p->channels; first += 32) pool_channels<Bytes32>(*p, memory, first);
}

}  // namespace edgekit
