#include "common/bytes.h"
#include "lookup_u8/lookup_runs.h"

namespace edgekit {

namespace {

// The table as 16 of 16 values each, every one of them in all lanes; the upper half of a level says which one it is in.
struct Table {
  __m512i parts[16];

  explicit Table(const std::uint8_t* values) {
    for (int i = 0; i < 16; ++i)
      parts[i] = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values + i * 16)));
  }

  inline __m512i operator()(__m512i levels) const {
    const __m512i upper = _mm512_and_si512(levels, _mm512_set1_epi8(static_cast<char>(0xf0)));
    const __m512i lower = _mm512_and_si512(levels, _mm512_set1_epi8(0x0f));
    __m512i found = _mm512_shuffle_epi8(parts[0], lower);
    for (int i = 1; i < 16; ++i) {
      const __mmask64 here = _mm512_cmpeq_epi8_mask(upper, _mm512_set1_epi8(static_cast<char>(i * 16)));
      found = _mm512_mask_shuffle_epi8(found, here, parts[i], lower);
    }
    return found;
  }
};

}  // namespace

extern "C" void edgekit_lookup_u8_avx512(const LookupU8* p, const Memory* memory) {
  if (p->table.space == kNone) return edgekit_lookup_u8_scalar(p, memory);
  const Table table(at<const std::uint8_t>(memory, p->table));
  lookup_image(*p, memory, [&table](const std::uint8_t* input, std::uint8_t* output, std::int64_t bytes) {
    for (; bytes >= 64; bytes -= 64, input += 64, output += 64) Bytes64::store(output, table(Bytes64::load(input)));
    if (bytes > 0) Bytes64::store(output, bytes, table(Bytes64::load(input)));
  });
}

}  // namespace edgekit
