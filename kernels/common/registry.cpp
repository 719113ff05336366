#include "common/registry.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>

#include "common/cpu.h"
#include "ops.h"

namespace edgekit {

namespace {

struct Row {
  const char* name;
  std::vector<std::string> needs;  // as cpu_isa() spells them
};

const Row kRows[] = {
    {"scalar", {}},
    {"avx2", {"avx2"}},
    {"avx512", {"avx512"}},
    {"avx512vnni", {"avx512", "avx512-vnni"}},
    {"avx512bf16", {"avx512", "avx512-bf16"}},
    {"neon", {"neon-dotprod"}},
};

template <class Params>
void check_record(const void* params, const Checker& checker) {
  check(*static_cast<const Params*>(params), checker);
}

template <class Params, void (*kernel)(const Params*, const Memory*)>
void call(const void* params, const Memory* memory) {
  kernel(static_cast<const Params*>(params), memory);
}

}  // namespace

const std::vector<Op>& ops() {
  static const std::vector<Op> table = {
#define EDGEKIT_OP(id, name, Params) \
  {id, #name, sizeof(Params), Params::kFields, std::size(Params::kFields), check_record<Params>},
#include "ops.inc"
#undef EDGEKIT_OP
  };
  return table;
}

const std::vector<KernelRow>& kernel_rows() {
  static const std::vector<KernelRow> table = {
#define EDGEKIT_KERNEL(op, Params, row) {#op, #row, call<Params, edgekit_##op##_##row>},
#include "kernels.inc"
#undef EDGEKIT_KERNEL
  };
  return table;
}

const Op* find_op(std::uint32_t id) {
  for (const Op& op : ops())
    if (op.id == id) return &op;
  return nullptr;
}

const Op* find_op(const char* name) {
  for (const Op& op : ops())
    if (std::strcmp(op.name, name) == 0) return &op;
  return nullptr;
}

bool runs_here(const char* row) {
  static const std::vector<std::string> here = cpu_isa();
  for (const Row& known : kRows) {
    if (std::strcmp(known.name, row) != 0) continue;
    return std::all_of(known.needs.begin(), known.needs.end(),
                       [](const std::string& need) { return std::find(here.begin(), here.end(), need) != here.end(); });
  }
  return false;
}

const KernelRow* choose_kernel(const char* op, const char* row) {
  const KernelRow* chosen = nullptr;
  for (const KernelRow& kernel : kernel_rows()) {
    if (std::strcmp(kernel.op, op) != 0) continue;
    if (row ? std::strcmp(kernel.row, row) == 0 : runs_here(kernel.row)) chosen = &kernel;
  }
  return chosen;
}

}  // namespace edgekit
