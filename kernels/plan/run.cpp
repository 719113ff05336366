// Runs a plan: one arena, one state, the tensors of the caller, and the calls one after another.
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "plan/plan.h"

namespace edgekit {

unsigned char* Plan::aligned_zeros(std::uint64_t bytes) {
  const std::size_t size = static_cast<std::size_t>(bytes + kSlack);
  void* memory = nullptr;  // of no more than this size, so that a sanitizer sees what lies behind it
  if (posix_memalign(&memory, 64, size) != 0) throw PlanError("plan: no memory for " + std::to_string(size) + " bytes");
  return static_cast<unsigned char*>(std::memset(memory, 0, size));
}

void Plan::Free::operator()(unsigned char* memory) const { std::free(memory); }

Run::Run(std::shared_ptr<const Plan> plan)
    : plan_(std::move(plan)),
      arena_(Plan::aligned_zeros(plan_->arena_bytes)),
      state_(Plan::aligned_zeros(plan_->state_bytes)),
      memory_{} {
  memory_.base[kArena] = arena_.get();
  memory_.base[kConstants] = plan_->constants_.get();
  memory_.base[kState] = state_.get();
}

void Run::bind(std::uint32_t index, void* data, std::size_t bytes) {
  const std::size_t inputs = plan_->inputs.size();
  if (index >= inputs + plan_->outputs.size()) throw PlanError("plan: no tensor " + std::to_string(index));
  const PlanTensor& tensor = index < inputs ? plan_->inputs[index] : plan_->outputs[index - inputs];
  if (data && bytes != tensor.bytes)
    throw PlanError("plan: " + tensor.name + " has " + std::to_string(bytes) + " bytes; expected " +
                    std::to_string(tensor.bytes));
  memory_.base[kFirstIo + index] = static_cast<unsigned char*>(data);
}

void Run::bind_state() {
  streams_ = true;
  for (const PlanState& state : plan_->states) {
    unsigned char* place = state.offset == PlanState::kInsideOp ? nullptr : memory_.base[kState] + state.offset;
    memory_.base[kFirstIo + state.input] = place;
    memory_.base[kFirstIo + plan_->inputs.size() + state.output] = place;
  }
}

void Run::reset() { std::memset(memory_.base[kState], 0, plan_->state_bytes); }

void Run::check_bound() const {
  std::uint64_t state = 0;
  if (streams_)
    for (const PlanState& each : plan_->states)
      state |= 1ull << each.input | 1ull << (plan_->inputs.size() + each.output);
  for (std::size_t i = 0; i < plan_->inputs.size() + plan_->outputs.size(); ++i)
    if (!memory_.base[kFirstIo + i] && !(state >> i & 1)) throw PlanError("plan: not every input and output is bound");
}

void Run::operator()() const {
  for (const Step& step : plan_->steps) step.kernel->run(step.params.data(), &memory_);
}

std::vector<double> Run::step_ns(int calls) const {
  using Clock = std::chrono::steady_clock;
  std::vector<double> total(plan_->steps.size());
  for (int call = 0; call < calls; ++call) {
    for (std::size_t i = 0; i < total.size(); ++i) {
      const auto start = Clock::now();
      plan_->steps[i].kernel->run(plan_->steps[i].params.data(), &memory_);
      total[i] += std::chrono::duration<double, std::nano>(Clock::now() - start).count() / calls;
    }
  }
  return total;
}

}  // namespace edgekit
