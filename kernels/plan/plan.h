// A static plan: a list of kernel calls over one arena, read from the file format that docs/plan-format.md specifies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/registry.h"

namespace edgekit {

enum class DType : std::uint32_t { f32 = 1, u8 = 2, i8 = 3, i32 = 4, i64 = 5, bool8 = 6 };

struct PlanTensor {
  std::string name;
  DType dtype;
  std::vector<std::uint32_t> shape;
  std::uint64_t bytes;
};

// A tensor that streams: input `input` is what output `output` was `delays` steps before.
// In a stream both are bound to `offset` of the state (delay 1); kInsideOp says that an op keeps the delay lines
// itself.
struct PlanState {
  std::uint32_t input, output;
  std::uint64_t offset;
  static constexpr std::uint64_t kInsideOp = ~0ull;
};

struct Step {
  const Op* op;
  const KernelRow* kernel;
  std::vector<std::uint32_t> params;  // the record, aligned
  std::string label;
};

class Plan {
 public:
  // Reads and checks a plan; nothing of `bytes` is kept. row: the slowest-to-fastest choice is overridden by the row of
  // this name where an op has it (for tests). Throws PlanError with what is wrong.
  static std::shared_ptr<const Plan> parse(const unsigned char* bytes, std::size_t size, const std::string& row = "");

  std::vector<PlanTensor> inputs, outputs;
  std::vector<PlanState> states;
  std::vector<Step> steps;
  std::uint64_t arena_bytes = 0, state_bytes = 0, constant_bytes = 0;

  const unsigned char* constants() const { return constants_.get(); }

  struct Free {
    void operator()(unsigned char* memory) const;
  };
  static unsigned char* aligned_zeros(std::uint64_t bytes);  // with kSlack bytes behind

 private:
  std::unique_ptr<unsigned char, Free> constants_;
  friend class PlanReader;
  friend class Run;
};

// One use of a plan: its arena, its state, and the tensors that are bound. For one thread at a time.
class Run {
 public:
  explicit Run(std::shared_ptr<const Plan> plan);

  // Binds input or output `index` (inputs first) to memory of exactly its size. In a stream, state tensors stay
  // unbound.
  void bind(std::uint32_t index, void* data, std::size_t bytes);
  void bind_state();  // a stream: state tensors of delay 1 to the state itself; the others are left to their op
  void reset();       // the state to zeros
  void operator()() const;
  void check_bound() const;  // throws PlanError where a tensor is neither bound nor kept as state
  // The mean time of each step in ns, over `calls` runs; reading the clock is in it, 20 to 40 ns a step.
  std::vector<double> step_ns(int calls) const;
  const Plan& plan() const { return *plan_; }
  unsigned char* state() { return memory_.base[kState]; }

 private:
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<unsigned char, Plan::Free> arena_, state_;
  Memory memory_;
  bool streams_ = false;
};

}  // namespace edgekit
