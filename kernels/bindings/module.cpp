// The Python module edgekit._native: thin bindings, no logic.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "common/cpu.h"

NB_MODULE(_native, module) {
  module.doc() = "edgekit's native code: CPU detection, and the kernel library as it grows";
  module.def("cpu_isa", &edgekit::cpu_isa,
             "Names of the instruction sets this CPU offers, as target profiles spell them.");
}
