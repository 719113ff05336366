#include "common/checker.h"

#include <cmath>

namespace edgekit {

namespace {

const char* space_name(std::uint32_t space) {
  switch (space) {
    case kNone:
      return "nothing";
    case kArena:
      return "the arena";
    case kConstants:
      return "the constants";
    case kState:
      return "the state";
    default:
      return "an input or output";
  }
}

}  // namespace

void Checker::fail(const std::string& what) const { throw PlanError(where_ + ": " + what); }

void Checker::in_range(std::int64_t value, std::int64_t low, std::int64_t high, const char* name) const {
  if (value < low || value > high)
    fail(std::string(name) + " = " + std::to_string(value) + "; expected " + std::to_string(low) + " to " +
         std::to_string(high));
}

void Checker::require(bool holds, const char* expected) const {
  if (!holds) fail(std::string("expected ") + expected);
}

void Checker::finite(float value, const char* name) const {
  if (!std::isfinite(value)) fail(std::string(name) + " is not finite");
}

void Checker::reads(Ref ref, std::uint64_t bytes, const char* name, Overread overread, std::uint32_t align) const {
  inside(ref, bytes, name, align);
  bound(ref, name);
  if (overread == Overread::slack && ref.space >= kFirstIo)
    fail(std::string(name) + " must not be an input or output: the kernel reads a little further");
}

void Checker::writes(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align) const {
  inside(ref, bytes, name, align);
  bound(ref, name);
  not_read_only(ref, name);
}

void Checker::reads_if_bound(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align) const {
  inside(ref, bytes, name, align);
}

void Checker::writes_if_bound(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align) const {
  inside(ref, bytes, name, align);
  not_read_only(ref, name);
}

void Checker::bound(Ref ref, const char* name) const {
  if (sizes_.may_be_unbound[ref.space]) fail(std::string(name) + " is a state that this op does not keep itself");
}

void Checker::not_read_only(Ref ref, const char* name) const {
  if (ref.space == kConstants || (ref.space >= kFirstIo && ref.space < kFirstIo + sizes_.inputs))
    fail(std::string(name) + " is written, but lies in memory that is only read");
}

void Checker::inside(Ref ref, std::uint64_t bytes, const char* name, std::uint32_t align) const {
  if (ref.space == kNone || ref.space >= kFirstIo + sizes_.inputs + sizes_.outputs)
    fail(std::string(name) + " lies in space " + std::to_string(ref.space) + ", which the plan does not have");
  const std::uint64_t size = sizes_.bytes[ref.space];
  if (ref.offset > size || bytes > size - ref.offset)
    fail(std::string(name) + ": " + std::to_string(bytes) + " bytes at " + std::to_string(ref.offset) + " of " +
         space_name(ref.space) + ", which has " + std::to_string(size));
  if (ref.offset % align != 0)
    fail(std::string(name) + " lies at " + std::to_string(ref.offset) + "; expected a multiple of " +
         std::to_string(align));
}

}  // namespace edgekit
