// Parameters of an op, declared once: a C++ struct, the record of the plan file, and the layout that Python fills in.
//
// An op lists its fields in a macro of three callables, REF for where a tensor lies, I32 and F32 for numbers:
//
//   #define EDGEKIT_DENSE_U8_FIELDS(REF, I32, F32) REF(input) I32(rows) F32(low)
//   EDGEKIT_DECLARE_PARAMS(DenseU8, EDGEKIT_DENSE_U8_FIELDS)
//
// Every field is made of 4-byte parts in the order of the list, so the struct has no padding and is the file's record.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgekit {

// The memories of one run. Inputs and outputs of the plan follow from kFirstIo, inputs first.
enum Space : std::uint32_t { kNone = 0, kArena = 1, kConstants = 2, kState = 3, kFirstIo = 4 };
constexpr std::uint32_t kMaxIo = 64;
constexpr std::uint32_t kSpaces = kFirstIo + kMaxIo;

// Bytes behind the end of arena, constants and state that a kernel may read, and must not depend on.
constexpr std::uint32_t kSlack = 64;

// Where a tensor lies: `offset` bytes from the start of a space. An absent tensor is {kNone, 0}.
struct Ref {
  std::uint32_t space;
  std::uint32_t offset;
};

struct Memory {
  unsigned char* base[kSpaces];
};

// The address of `ref`; null where the tensor is absent, or is an input or output that was left unbound.
template <class T>
static inline T* at(const Memory* memory, Ref ref) {
  unsigned char* base = memory->base[ref.space];
  return base ? reinterpret_cast<T*>(base + ref.offset) : nullptr;
}

enum class FieldType { ref, i32, f32 };

struct Field {
  const char* name;
  FieldType type;
};

#define EDGEKIT_REF_MEMBER(name) ::edgekit::Ref name;
#define EDGEKIT_I32_MEMBER(name) std::int32_t name;
#define EDGEKIT_F32_MEMBER(name) float name;
#define EDGEKIT_REF_FIELD(name) {#name, ::edgekit::FieldType::ref},
#define EDGEKIT_I32_FIELD(name) {#name, ::edgekit::FieldType::i32},
#define EDGEKIT_F32_FIELD(name) {#name, ::edgekit::FieldType::f32},

#define EDGEKIT_DECLARE_PARAMS(Name, FIELDS)                                                                         \
  struct Name {                                                                                                      \
    FIELDS(EDGEKIT_REF_MEMBER, EDGEKIT_I32_MEMBER, EDGEKIT_F32_MEMBER)                                               \
    static constexpr ::edgekit::Field kFields[] = {FIELDS(EDGEKIT_REF_FIELD, EDGEKIT_I32_FIELD, EDGEKIT_F32_FIELD)}; \
  };                                                                                                                 \
  static_assert(sizeof(Name) % 4 == 0, "a record is made of 4-byte parts");

}  // namespace edgekit
