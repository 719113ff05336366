#include "common/cpu.h"

#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP  // older C libraries know fewer of these bits than kernels do
#define HWCAP_ASIMDDP (1 << 20)
#endif
#ifndef HWCAP2_I8MM
#define HWCAP2_I8MM (1 << 13)
#endif
#ifndef HWCAP2_BF16
#define HWCAP2_BF16 (1 << 14)
#endif
#endif

namespace edgekit {

#if defined(__x86_64__) || defined(__i386__)

std::vector<std::string> cpu_isa() {
  __builtin_cpu_init();
  std::vector<std::string> names;
  // __builtin_cpu_supports takes a literal, hence a line for each.
  if (__builtin_cpu_supports("sse4.2")) names.emplace_back("sse4.2");
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) names.emplace_back("avx2");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    names.emplace_back("avx512");
  if (__builtin_cpu_supports("avx512vnni")) names.emplace_back("avx512-vnni");
  if (__builtin_cpu_supports("avx512bf16")) names.emplace_back("avx512-bf16");
  return names;
}

#elif defined(__linux__) && defined(__aarch64__)

std::vector<std::string> cpu_isa() {
  std::vector<std::string> names;
  const unsigned long capabilities = getauxval(AT_HWCAP);
  const unsigned long capabilities2 = getauxval(AT_HWCAP2);
  if (capabilities & HWCAP_ASIMD) names.emplace_back("neon");
  if (capabilities & HWCAP_ASIMDDP) names.emplace_back("neon-dotprod");
  if (capabilities2 & HWCAP2_I8MM) names.emplace_back("neon-i8mm");
  if (capabilities2 & HWCAP2_BF16) names.emplace_back("neon-bf16");
  return names;
}

#elif defined(__APPLE__) && defined(__aarch64__)

std::vector<std::string> cpu_isa() { return {"neon", "neon-dotprod"}; }  // every Apple M chip has both

#else

std::vector<std::string> cpu_isa() { return {}; }

#endif

}  // namespace edgekit
