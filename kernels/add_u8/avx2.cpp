#include "add_u8/add_bytes.h"

namespace edgekit {

extern "C" void edgekit_add_u8_avx2(const AddU8* p, const Memory* memory) { add_images<Bytes32>(*p, memory); }

}  // namespace edgekit
