#include "plan/crc32.h"

#include <array>
#include <cstring>

namespace edgekit {

namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[0] is the byte-wise table; tables[i] advances its entry by i further zero bytes ("slicing by 8").
Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0u);
    tables[0][byte] = value;
  }
  for (int i = 1; i < 8; ++i)
    for (int byte = 0; byte < 256; ++byte)
      tables[i][byte] = (tables[i - 1][byte] >> 8) ^ tables[0][tables[i - 1][byte] & 0xff];
  return tables;
}

}  // namespace

std::uint32_t crc32(const unsigned char* bytes, std::size_t size) {
  static const Tables tables = make_tables();
  std::uint32_t value = ~0u;
  for (; size >= 8; size -= 8, bytes += 8) {
    std::uint32_t low, high;
    std::memcpy(&low, bytes, 4);
    std::memcpy(&high, bytes + 4, 4);
    low ^= value;
    value = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
            tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][(high >> 8) & 0xff] ^
            tables[1][(high >> 16) & 0xff] ^ tables[0][high >> 24];
  }
  for (; size; --size) value = (value >> 8) ^ tables[0][(value ^ *bytes++) & 0xff];
  return ~value;
}

}  // namespace edgekit
