// A run of a plan with inputs and outputs of its own, each of exactly its size.
#pragma once

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "tests/exact_memory.h"

namespace edgekit {

class BoundRun {
 public:
  // Inputs are filled with numbers that differ with `seed`; floats lie between -1 and 1.
  explicit BoundRun(std::shared_ptr<const Plan> plan, std::uint32_t seed = 0) : run_(plan) {
    for (const PlanTensor& tensor : plan->inputs) bind(values_of(tensor, ++seed));
    for (const PlanTensor& tensor : plan->outputs) bind(Bytes(tensor.bytes, 0));
  }

  // Makes it a stream: state tensors lie in the state from now on.
  void stream() { run_.bind_state(); }

  void operator()() const {
    run_.check_bound();
    run_();
  }

  Bytes outputs() {
    Bytes all;
    const auto& plan = run_.plan();
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const unsigned char* data = io_[plan.inputs.size() + i]->data();
      all.insert(all.end(), data, data + plan.outputs[i].bytes);
    }
    all.insert(all.end(), run_.state(), run_.state() + plan.state_bytes);
    return all;
  }

 private:
  static Bytes values_of(const PlanTensor& tensor, std::uint32_t seed) {
    Bytes values(tensor.bytes);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<unsigned char>((i + seed) * 2654435761u >> 21);
    if (tensor.dtype != DType::f32) return values;
    for (std::size_t i = 0; i + 4 <= values.size(); i += 4) {
      const float value = static_cast<float>(values[i]) / 128.0f - 1.0f;
      std::memcpy(values.data() + i, &value, 4);
    }
    return values;
  }

  void bind(const Bytes& contents) {
    const auto index = static_cast<std::uint32_t>(io_.size());
    io_.push_back(std::make_unique<ExactMemory>(kFirstIo, contents));
    run_.bind(index, io_.back()->data(), contents.size());
  }

  Run run_;
  std::vector<std::unique_ptr<ExactMemory>> io_;
};

}  // namespace edgekit
