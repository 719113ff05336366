// Binds plans and their runs.
#include "plan/plan.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace edgekit {

namespace {

using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;
using TensorTuple = std::tuple<std::string, std::uint32_t, std::vector<std::uint32_t>>;

std::vector<TensorTuple> tuples(const std::vector<PlanTensor>& tensors) {
  std::vector<TensorTuple> found;
  for (const PlanTensor& tensor : tensors)
    found.emplace_back(tensor.name, static_cast<std::uint32_t>(tensor.dtype), tensor.shape);
  return found;
}

// (op, row, label, record) of each step.
nb::list steps(const Plan& plan) {
  nb::list found;
  for (const Step& step : plan.steps) {
    nb::bytes record(reinterpret_cast<const char*>(step.params.data()), step.params.size() * 4);
    found.append(nb::make_tuple(step.op->name, step.kernel->row, step.label, record));
  }
  return found;
}

void call(const Run& run) {
  run.check_bound();
  run();
}

}  // namespace

void bind_plan(nb::module_& module) {
  nb::exception<PlanError>(module, "PlanError", PyExc_ValueError);
  nb::class_<Plan>(module, "Plan", "A static plan, read and checked.")
      .def_static(
          "parse",
          [](nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> bytes,
             const std::string& row) {
            return std::const_pointer_cast<Plan>(Plan::parse(bytes.data(), bytes.size(), row));
          },
          nb::arg("data"), nb::arg("row") = "")
      .def_prop_ro("inputs", [](const Plan& plan) { return tuples(plan.inputs); })
      .def_prop_ro("outputs", [](const Plan& plan) { return tuples(plan.outputs); })
      .def_prop_ro("states",
                   [](const Plan& plan) {
                     std::vector<std::tuple<std::uint32_t, std::uint32_t, bool>> found;
                     for (const PlanState& state : plan.states)
                       found.emplace_back(state.input, state.output, state.offset == PlanState::kInsideOp);
                     return found;
                   })
      .def_prop_ro("steps", &steps)
      .def_ro("arena_bytes", &Plan::arena_bytes)
      .def_ro("state_bytes", &Plan::state_bytes)
      .def_ro("constant_bytes", &Plan::constant_bytes);
  nb::class_<Run>(module, "Run", nb::dynamic_attr(),
                  "One use of a plan: arena, state and bound tensors. For one thread at a time.")
      .def(
          "__init__", [](Run* self, std::shared_ptr<Plan> plan) { new (self) Run(std::move(plan)); }, nb::arg("plan"))
      .def("bind_input", [](Run& run, std::uint32_t index,
                            const Input& array) { run.bind(index, const_cast<void*>(array.data()), array.nbytes()); })
      .def("bind_output",
           [](Run& run, std::uint32_t index, const Output& array) {
             run.bind(static_cast<std::uint32_t>(run.plan().inputs.size()) + index, array.data(), array.nbytes());
           })
      .def("bind_state", &Run::bind_state)
      .def("reset", &Run::reset)
      .def("step_ns", &Run::step_ns, nb::arg("calls"), "The mean time of each step in ns, over `calls` runs.")
      .def("__call__", &call, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace edgekit
