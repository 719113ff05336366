// Checks the parameters of an op against the sizes of the memories before anything runs: they come from a file.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "common/params.h"

namespace edgekit {

// A plan that cannot be run; the message says where and why.
struct PlanError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Sizes in bytes of the spaces of one plan, slack not counted; `inputs` of the I/O spaces come first and are read-only.
struct Sizes {
  std::uint64_t bytes[kSpaces] = {};
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  bool may_be_unbound[kSpaces] = {};  // tensors of a state that an op keeps itself: null in a stream
};

// Whether a kernel may read up to kSlack bytes behind a tensor. An input or output of the user has none to read.
enum class Overread { no, slack };

class Checker {
 public:
  // where: how a message calls the op, such as `op 3 (dense_u8)`.
  Checker(const Sizes& sizes, std::string where) : sizes_(sizes), where_(std::move(where)) {}

  // Throws PlanError unless low <= value <= high.
  void in_range(std::int64_t value, std::int64_t low, std::int64_t high, const char* name) const;
  // Throws PlanError with `expected` unless `holds`.
  void require(bool holds, const char* expected) const;
  // Throws PlanError unless value is finite.
  void finite(float value, const char* name) const;

  // Throw PlanError unless `bytes` bytes lie inside the space of `ref`, aligned to `align`.
  void reads(Ref ref, std::uint64_t bytes, const char* name, Overread overread = Overread::no,
             std::uint32_t align = 1) const;
  void writes(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align = 1) const;
  // The same for a tensor that the kernel looks at only where it is bound.
  void reads_if_bound(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align = 1) const;
  void writes_if_bound(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align = 1) const;
  static bool absent(Ref ref) { return ref.space == kNone; }

  // Values of a constant that lies at `ref`, for what only its values can tell; `reads` has to pass before.
  // Null while constants are not known.
  const unsigned char* constants = nullptr;

 private:
  void inside(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align) const;
  void bound(Ref ref, const char* name) const;
  void not_read_only(Ref ref, const char* name) const;
  [[noreturn]] void fail(const std::string& what) const;

  const Sizes& sizes_;
  std::string where_;
};

// Bytes from the first to the last byte of `count` things of `bytes` each, `stride` bytes apart.
inline std::uint64_t extent(std::int64_t count, std::int64_t stride, std::int64_t bytes) {
  return static_cast<std::uint64_t>((count - 1) * stride + bytes);
}

// The largest count or stride that a record may state: products of three of them fit 64 bits.
constexpr std::int64_t kMaxCount = 1 << 20;
constexpr std::int64_t kMaxStride = 1 << 28;

}  // namespace edgekit
