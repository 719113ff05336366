#include "lookup_u8/lookup_runs.h"

namespace edgekit {

extern "C" void edgekit_lookup_u8_scalar(const LookupU8* p, const Memory* memory) {
  const auto* table = at<const std::uint8_t>(memory, p->table);
  lookup_image(*p, memory, [table](const std::uint8_t* input, std::uint8_t* output, std::int64_t bytes) {
    for (std::int64_t i = 0; i < bytes; ++i) output[i] = table[input[i]];
  });
}

}  // namespace edgekit
