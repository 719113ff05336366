// Every op and every kernel, as tables; and the choice of the fastest kernel that this CPU can run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/checker.h"
#include "common/params.h"

namespace edgekit {

using Kernel = void (*)(const void* params, const Memory* memory);

// An op: its number in plan files, which never changes, its name, and how its parameters are laid out and checked.
struct Op {
  std::uint32_t id;
  const char* name;
  std::uint32_t params_bytes;
  const Field* fields;
  std::size_t field_count;
  void (*check)(const void* params, const Checker& checker);
};

// A kernel: one implementation of an op. row: `scalar`, or the instruction sets that it is written for.
struct KernelRow {
  const char* op;
  const char* row;
  Kernel run;
};

const std::vector<Op>& ops();
const std::vector<KernelRow>& kernel_rows();  // of one op from the slowest to the fastest
const Op* find_op(std::uint32_t id);
const Op* find_op(const char* name);

// Whether this CPU has the instruction sets of `row`.
bool runs_here(const char* row);

// The last row of the op that runs here; with `row`, that one. Null where there is none.
const KernelRow* choose_kernel(const char* op, const char* row = nullptr);

}  // namespace edgekit
