#include "add_u8/add_bytes.h"

namespace edgekit {

extern "C" void edgekit_add_u8_avx512(const AddU8* p, const Memory* memory) { add_images<Bytes64>(*p, memory); }

}  // namespace edgekit
