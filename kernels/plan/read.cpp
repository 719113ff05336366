// Reads a plan file; every offset, size and record is checked before it is used, since it comes from a file.
#include <cstring>

#include "plan/crc32.h"
#include "plan/plan.h"

namespace edgekit {

namespace {

constexpr char kMagic[8] = {'E', 'D', 'G', 'E', 'P', 'L', 'A', 'N'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kCheckedFrom = 16;                     // what the checksum covers begins here
constexpr std::uint64_t kMaxBytes = 0xffffffffull - kSlack;  // offsets have 32 bits

std::uint32_t item_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::i64:
      return 8;
    case DType::u8:
    case DType::i8:
    case DType::bool8:
      return 1;
  }
  throw PlanError("plan: unknown dtype " + std::to_string(static_cast<std::uint32_t>(dtype)));
}

}  // namespace

// The bytes of a file, taken one value after another; reading past the end throws.
class PlanReader {
 public:
  PlanReader(const unsigned char* bytes, std::size_t size) : bytes_(bytes), size_(size) {}

  std::shared_ptr<const Plan> read(const std::string& row) {
    auto plan = std::make_shared<Plan>();
    read_header(*plan);
    for (std::uint32_t i = 0; i < input_count_; ++i) plan->inputs.push_back(tensor());
    for (std::uint32_t i = 0; i < output_count_; ++i) plan->outputs.push_back(tensor());
    for (std::uint32_t i = 0; i < state_count_; ++i) plan->states.push_back(state(*plan));
    for (std::uint32_t i = 0; i < step_count_; ++i) plan->steps.push_back(step(row));
    read_constants(*plan);
    check_steps(*plan);
    return plan;
  }

 private:
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take_bytes(sizeof(T)), sizeof(T));
    return value;
  }

  const unsigned char* take_bytes(std::uint64_t count) {
    if (count > size_ - position_)
      throw PlanError("plan: truncated: " + std::to_string(count) + " bytes expected at " + std::to_string(position_) +
                      " of " + std::to_string(size_));
    const unsigned char* found = bytes_ + position_;
    position_ += count;
    return found;
  }

  // A text with its length before it, filled up to a multiple of 4.
  std::string text() {
    const auto length = take<std::uint32_t>();
    if (length > 4096) throw PlanError("plan: a name of " + std::to_string(length) + " bytes; at most 4096 expected");
    const unsigned char* start = take_bytes((length + 3) / 4 * 4);
    return std::string(reinterpret_cast<const char*>(start), length);
  }

  void read_header(Plan& plan) {
    if (size_ < kCheckedFrom || std::memcmp(take_bytes(8), kMagic, 8) != 0)
      throw PlanError("plan: not a plan file: it does not begin with EDGEPLAN");
    const auto version = take<std::uint32_t>();
    if (version != kVersion)
      throw PlanError("plan: format version " + std::to_string(version) + "; this edgekit reads version 1");
    const auto checksum = take<std::uint32_t>();
    if (checksum != crc32(bytes_ + kCheckedFrom, size_ - kCheckedFrom))
      throw PlanError("plan: altered or truncated: the checksum does not match; get the file again");
    if (take<std::uint64_t>() != size_) throw PlanError("plan: truncated, or something was appended");
    plan.arena_bytes = take<std::uint64_t>();
    plan.state_bytes = take<std::uint64_t>();
    plan.constant_bytes = take<std::uint64_t>();
    constants_at_ = take<std::uint64_t>();
    input_count_ = take<std::uint32_t>();
    output_count_ = take<std::uint32_t>();
    state_count_ = take<std::uint32_t>();
    step_count_ = take<std::uint32_t>();
    for (std::uint64_t bytes : {plan.arena_bytes, plan.state_bytes, plan.constant_bytes})
      if (bytes > kMaxBytes) throw PlanError("plan: a memory of " + std::to_string(bytes) + " bytes; at most 4 GB");
    if (input_count_ > kMaxIo || output_count_ > kMaxIo || input_count_ + output_count_ > kMaxIo)
      throw PlanError("plan: more than 64 inputs and outputs");
  }

  PlanTensor tensor() {
    PlanTensor found;
    found.name = text();
    found.dtype = static_cast<DType>(take<std::uint32_t>());
    found.bytes = item_bytes(found.dtype);
    const auto rank = take<std::uint32_t>();
    if (rank > 8) throw PlanError("plan: " + found.name + " has rank " + std::to_string(rank) + "; at most 8");
    for (std::uint32_t i = 0; i < rank; ++i) {
      found.shape.push_back(take<std::uint32_t>());
      if (found.shape.back() != 0 && found.bytes > kMaxBytes / found.shape.back())
        throw PlanError("plan: " + found.name + " has more than 4 GB");
      found.bytes *= found.shape.back();
    }
    return found;
  }

  PlanState state(const Plan& plan) {
    PlanState found;
    found.input = take<std::uint32_t>();
    found.output = take<std::uint32_t>();
    found.offset = take<std::uint64_t>();
    if (found.input >= input_count_ || found.output >= output_count_)
      throw PlanError("plan: a state names a tensor that the plan does not have");
    const std::uint64_t bytes = plan.inputs[found.input].bytes;
    if (bytes != plan.outputs[found.output].bytes) throw PlanError("plan: a state's input and output differ in size");
    if (found.offset == PlanState::kInsideOp) return found;
    if (found.offset > plan.state_bytes || bytes > plan.state_bytes - found.offset || found.offset % 4 != 0)
      throw PlanError("plan: a state lies outside of the state memory, or unaligned");
    return found;
  }

  Step step(const std::string& row) {
    Step found;
    const auto id = take<std::uint32_t>();
    found.op = find_op(id);
    if (!found.op)
      throw PlanError("plan: op number " + std::to_string(id) + " is not known; this plan is from a newer edgekit");
    const auto bytes = take<std::uint32_t>();
    if (bytes != found.op->params_bytes)
      throw PlanError(std::string("plan: ") + found.op->name + " has a record of " + std::to_string(bytes) +
                      " bytes; expected " + std::to_string(found.op->params_bytes));
    found.params.resize(bytes / 4);
    std::memcpy(found.params.data(), take_bytes(bytes), bytes);
    found.label = text();
    found.kernel = row.empty() ? nullptr : choose_kernel(found.op->name, row.c_str());
    if (!found.kernel) found.kernel = choose_kernel(found.op->name);
    if (!runs_here(found.kernel->row))
      throw PlanError(std::string("plan: this CPU cannot run row ") + found.kernel->row + " of " + found.op->name);
    return found;
  }

  void read_constants(Plan& plan) {
    if (constants_at_ > size_ || plan.constant_bytes > size_ - constants_at_)
      throw PlanError("plan: the constants lie outside of the file");
    plan.constants_.reset(Plan::aligned_zeros(plan.constant_bytes));
    if (plan.constant_bytes) std::memcpy(plan.constants_.get(), bytes_ + constants_at_, plan.constant_bytes);
  }

  static void check_steps(const Plan& plan) {
    const Sizes sizes = sizes_of(plan);
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      const Step& step = plan.steps[i];
      Checker checker(sizes, "plan: step " + std::to_string(i) + " (" + step.op->name + ")");
      checker.constants = plan.constants();
      step.op->check(step.params.data(), checker);
    }
  }

  static Sizes sizes_of(const Plan& plan) {
    Sizes sizes;
    sizes.bytes[kArena] = plan.arena_bytes;
    sizes.bytes[kConstants] = plan.constant_bytes;
    sizes.bytes[kState] = plan.state_bytes;
    sizes.inputs = static_cast<std::uint32_t>(plan.inputs.size());
    sizes.outputs = static_cast<std::uint32_t>(plan.outputs.size());
    for (const PlanState& state : plan.states) {
      if (state.offset != PlanState::kInsideOp) continue;
      sizes.may_be_unbound[kFirstIo + state.input] = true;
      sizes.may_be_unbound[kFirstIo + sizes.inputs + state.output] = true;
    }
    std::uint32_t space = kFirstIo;
    for (const auto* tensors : {&plan.inputs, &plan.outputs})
      for (const PlanTensor& tensor : *tensors) sizes.bytes[space++] = tensor.bytes;
    return sizes;
  }

 private:
  const unsigned char* bytes_;
  std::uint64_t size_;
  std::uint64_t position_ = 0;
  std::uint64_t constants_at_ = 0;
  std::uint32_t input_count_ = 0, output_count_ = 0, state_count_ = 0, step_count_ = 0;
};

std::shared_ptr<const Plan> Plan::parse(const unsigned char* bytes, std::size_t size, const std::string& row) {
  return PlanReader(bytes, size).read(row);
}

}  // namespace edgekit
