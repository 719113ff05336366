// Uses plans from many threads at once; to be built with ThreadSanitizer:
//
//   threads PLAN...
//
// Several threads parse at the same time, first of all, when tables are still to be set up. Then 64 threads take one
// plan, each with a run of its own, and must get what one thread alone gets.
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "plan/plan.h"
#include "tests/bound_run.h"
#include "tests/cases.h"

namespace edgekit {

namespace {

constexpr int kParsers = 4, kRuns = 64, kCalls = 3;

template <class Work>
void at_once(int threads, Work work) {
  std::vector<std::thread> started;
  std::atomic<int> waiting{threads};
  for (int i = 0; i < threads; ++i)
    started.emplace_back([&, i] {
      for (--waiting; waiting > 0;) std::this_thread::yield();
      work(i);
    });
  for (std::thread& thread : started) thread.join();
}

Bytes run_alone(const std::shared_ptr<const Plan>& plan, std::uint32_t seed) {
  BoundRun run(plan, seed);
  for (int call = 0; call < kCalls; ++call) run();
  return run.outputs();
}

void use(const std::string& path) {
  const Bytes file = read_file(path);
  std::vector<std::shared_ptr<const Plan>> plans(kParsers);
  at_once(kParsers, [&](int i) { plans[i] = Plan::parse(file.data(), file.size()); });
  std::vector<Bytes> outputs(kRuns);
  at_once(kRuns, [&](int i) { outputs[i] = run_alone(plans[0], static_cast<std::uint32_t>(i % 5)); });
  for (int i = 0; i < kRuns; ++i)
    if (outputs[i] != run_alone(plans[1], static_cast<std::uint32_t>(i % 5)))
      throw std::runtime_error(path + ": thread " + std::to_string(i) + " got something else than one thread alone");
  std::printf("ok      %s: %d threads parsed it, %d ran it\n", path.c_str(), kParsers, kRuns);
}

}  // namespace

}  // namespace edgekit

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: threads PLAN...\n");
    return 2;
  }
  try {
    for (int i = 1; i < count; ++i) edgekit::use(arguments[i]);
    return 0;
  } catch (const std::exception& error) {
    std::printf("FAILED  %s\n", error.what());
    return 1;
  }
}
