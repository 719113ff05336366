// Binds the table of ops and kernels, and single calls of a kernel, for packing, tests and benches.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "common/registry.h"

namespace nb = nanobind;

namespace edgekit {

namespace {

using Buffer = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A kernel with its parameters, ready to be called on buffers; checked as a plan would be.
struct Call {
  const KernelRow* kernel;
  std::vector<std::uint32_t> params;
  Memory memory{};

  Call(const std::string& name, const std::string& row, nb::bytes record,
       const std::map<std::uint32_t, Buffer>& buffers, std::uint32_t inputs) {
    const Op* op = find_op(name.c_str());
    kernel = choose_kernel(name.c_str(), row.c_str());
    if (!op || !kernel) throw PlanError("no kernel " + row + " of op " + name);
    if (!runs_here(row.c_str())) throw PlanError("this CPU cannot run row " + row);
    if (record.size() != op->params_bytes) throw PlanError("the record of " + name + " has another size");
    params.resize(record.size() / 4);
    std::memcpy(params.data(), record.c_str(), record.size());
    check(*op, buffers, inputs);
  }

  void check(const Op& op, const std::map<std::uint32_t, Buffer>& buffers, std::uint32_t inputs) {
    Sizes sizes;
    sizes.inputs = inputs;
    for (const auto& [space, buffer] : buffers) {
      if (space == kNone || space >= kSpaces) throw PlanError("no space " + std::to_string(space));
      const std::size_t slack = space < kFirstIo ? kSlack : 0;
      if (buffer.size() < slack) throw PlanError("arena, constants and state need 64 bytes of slack at their end");
      sizes.bytes[space] = buffer.size() - slack;
      memory.base[space] = buffer.data();
      if (space >= kFirstIo + inputs) sizes.outputs = std::max(sizes.outputs, space + 1 - kFirstIo - inputs);
    }
    Checker checker(sizes, op.name);
    checker.constants = memory.base[kConstants];
    op.check(params.data(), checker);
  }

  void operator()() const { kernel->run(params.data(), &memory); }
};

std::vector<std::tuple<std::string, std::string>> fields_of(const std::string& name) {
  const Op* op = find_op(name.c_str());
  if (!op) throw PlanError("no op " + name);
  std::vector<std::tuple<std::string, std::string>> found;
  for (std::size_t i = 0; i < op->field_count; ++i) {
    const FieldType type = op->fields[i].type;
    found.emplace_back(op->fields[i].name, type == FieldType::ref ? "ref" : type == FieldType::i32 ? "i32" : "f32");
  }
  return found;
}

double time_ns(const Call& call, int calls, int repeats) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    const double taken = std::chrono::duration<double, std::nano>(Clock::now() - start).count() / calls;
    best = repeat ? std::min(best, taken) : taken;
  }
  return best;
}

}  // namespace

void bind_kernels(nb::module_& module) {
  module.def(
      "op_ids",
      [] {
        std::map<std::string, std::uint32_t> found;
        for (const Op& op : ops()) found[op.name] = op.id;
        return found;
      },
      "The number of every op in plan files, by name.");
  module.def("op_fields", &fields_of, nb::arg("op"), "(name, `ref`, `i32` or `f32`) of each parameter, in order.");
  module.def(
      "kernel_rows",
      [] {
        std::vector<std::tuple<std::string, std::string, bool>> found;
        for (const KernelRow& kernel : kernel_rows()) found.emplace_back(kernel.op, kernel.row, runs_here(kernel.row));
        return found;
      },
      "(op, row, whether this CPU can run it) of every kernel, from the slowest row of an op to the fastest.");
  module.def(
      "run_kernel",
      [](const std::string& op, const std::string& row, nb::bytes record,
         const std::map<std::uint32_t, Buffer>& buffers,
         std::uint32_t inputs) { Call(op, row, record, buffers, inputs)(); },
      nb::arg("op"), nb::arg("row"), nb::arg("record"), nb::arg("buffers"), nb::arg("inputs") = 0,
      "Check the record as a plan is checked, and call the kernel on `buffers` (bytes by space).");
  module.def(
      "time_kernel",
      [](const std::string& op, const std::string& row, nb::bytes record,
         const std::map<std::uint32_t, Buffer>& buffers, std::uint32_t inputs, int calls,
         int repeats) { return time_ns(Call(op, row, record, buffers, inputs), calls, repeats); },
      nb::arg("op"), nb::arg("row"), nb::arg("record"), nb::arg("buffers"), nb::arg("inputs") = 0,
      nb::arg("calls") = 100, nb::arg("repeats") = 5,
      "The least mean time of a call in ns, over `repeats` of `calls`.");
}

}  // namespace edgekit
