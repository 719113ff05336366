// Which instruction sets this CPU offers, under the names that target profiles use.
#pragma once

#include <string>
#include <vector>

namespace edgekit {

// Names from the list in edgekit/targets/README.md ("avx2", "avx512-vnni", "neon-dotprod", ...), in a fixed order.
// An instruction set is listed only if the CPU has it and the operating system saves its registers.
std::vector<std::string> cpu_isa();

}  // namespace edgekit
