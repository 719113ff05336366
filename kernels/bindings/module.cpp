// The Python module edgekit._native: thin bindings, no logic. Its types are stated in edgekit/_native.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "common/cpu.h"

namespace nb = nanobind;

namespace edgekit {
void bind_kernels(nb::module_& module);
void bind_plan(nb::module_& module);
}  // namespace edgekit

NB_MODULE(_native, module) {
  module.doc() = "edgekit's native code: CPU detection, kernels, and the plans that call them";
  module.def("cpu_isa", &edgekit::cpu_isa,
             "Names of the instruction sets this CPU offers, as target profiles spell them.");
  edgekit::bind_kernels(module);
  edgekit::bind_plan(module);
}
