// CRC-32 as zlib and PNG compute it (polynomial 0xEDB88320), eight bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgekit {

std::uint32_t crc32(const unsigned char* bytes, std::size_t size);

}  // namespace edgekit
