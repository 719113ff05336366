// The OpenVINO op `edgekit::Plan`: a part of a graph that runs as one static plan.
//
// Input 0 is a constant of u8, the bytes of a plan file (docs/plan-format.md); the other inputs, and the outputs, are
// the plan's tensors in its order, row-major, of exactly its dtypes and shapes. The plan keeps no state between calls:
// state tensors are inputs and outputs as all others are.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <openvino/op/constant.hpp>
#include <openvino/op/op.hpp>
#include <vector>

#include "plan/plan.h"

namespace edgekit {

// A plan that is parsed when it is first asked for, and a Run for each thread that has used it at the same time.
// Shared by every clone of a node: graphs are cloned several times while they are compiled.
class PreparedPlan {
 public:
  explicit PreparedPlan(std::shared_ptr<const ov::op::v0::Constant> bytes);

  // Throws PlanError where the bytes are no sound plan, each time anew.
  const Plan& plan();
  std::unique_ptr<Run> take();
  void give_back(std::unique_ptr<Run> run);
  bool is_of(const ov::op::v0::Constant& bytes) const;

 private:
  using Header = std::array<unsigned char, 24>;  // magic, version, checksum of all that follows, and size
  static Header header_of(const ov::op::v0::Constant& bytes);

  std::shared_ptr<const ov::op::v0::Constant> bytes_;  // until it is parsed
  Header header_;
  std::once_flag parsed_;
  std::shared_ptr<const Plan> plan_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Run>> idle_;
};

class PlanOp : public ov::op::Op {
 public:
  OPENVINO_OP("Plan", "edgekit");

  PlanOp() = default;
  PlanOp(const ov::OutputVector& arguments, std::shared_ptr<PreparedPlan> prepared);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& arguments) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }  // all that it is lies in its inputs
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  std::shared_ptr<PreparedPlan> prepared_;
};

}  // namespace edgekit
