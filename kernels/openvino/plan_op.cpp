// Checks the op's tensors against its plan, and runs the plan on OpenVINO's own memory.
#include "openvino/plan_op.h"

#include <algorithm>
#include <openvino/core/extension.hpp>
#include <openvino/core/op_extension.hpp>
#include <openvino/frontend/onnx/extension/op.hpp>

namespace edgekit {

namespace {

ov::element::Type element_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ov::element::f32;
    case DType::u8:
      return ov::element::u8;
    case DType::i8:
      return ov::element::i8;
    case DType::i32:
      return ov::element::i32;
    case DType::i64:
      return ov::element::i64;
    case DType::bool8:
      return ov::element::boolean;
  }
  throw PlanError("plan: unknown dtype");
}

ov::Shape shape_of(const PlanTensor& tensor) { return {tensor.shape.begin(), tensor.shape.end()}; }

// A Run that goes back to its plan whatever happens.
class Lent {
 public:
  explicit Lent(PreparedPlan& from) : from_(from), run_(from.take()) {}
  ~Lent() { from_.give_back(std::move(run_)); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  Run& operator*() const { return *run_; }

 private:
  PreparedPlan& from_;
  std::unique_ptr<Run> run_;
};

}  // namespace

PreparedPlan::PreparedPlan(std::shared_ptr<const ov::op::v0::Constant> bytes)
    : bytes_(std::move(bytes)), header_(header_of(*bytes_)) {}

PreparedPlan::Header PreparedPlan::header_of(const ov::op::v0::Constant& bytes) {
  Header header{};
  const auto* data = static_cast<const unsigned char*>(bytes.get_data_ptr());
  std::copy_n(data, std::min(bytes.get_byte_size(), header.size()), header.begin());
  return header;
}

bool PreparedPlan::is_of(const ov::op::v0::Constant& bytes) const { return header_of(bytes) == header_; }

const Plan& PreparedPlan::plan() {
  std::call_once(parsed_, [this] {
    plan_ = Plan::parse(static_cast<const unsigned char*>(bytes_->get_data_ptr()), bytes_->get_byte_size());
    bytes_.reset();
  });
  return *plan_;
}

std::unique_ptr<Run> PreparedPlan::take() {
  plan();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Run> run = std::move(idle_.back());
      idle_.pop_back();
      return run;
    }
  }
  return std::make_unique<Run>(plan_);
}

void PreparedPlan::give_back(std::unique_ptr<Run> run) {
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(run));
}

PlanOp::PlanOp(const ov::OutputVector& arguments, std::shared_ptr<PreparedPlan> prepared)
    : Op(arguments), prepared_(std::move(prepared)) {
  constructor_validate_and_infer_types();
}

void PlanOp::validate_and_infer_types() {
  NODE_VALIDATION_CHECK(this, get_input_size() > 0, "its first input, the bytes of a plan, is missing");
  // A clone that is made to infer shapes may have a parameter there: it keeps the plan of its original.
  const auto bytes = ov::as_type_ptr<const ov::op::v0::Constant>(get_input_node_shared_ptr(0));
  if (bytes && !(prepared_ && prepared_->is_of(*bytes))) {
    NODE_VALIDATION_CHECK(this, bytes->get_element_type() == ov::element::u8, "the bytes of a plan are not u8");
    prepared_ = std::make_shared<PreparedPlan>(bytes);
  }
  NODE_VALIDATION_CHECK(this, prepared_ != nullptr, "its first input, the bytes of a plan, is not a constant");
  const Plan& plan = prepared_->plan();
  NODE_VALIDATION_CHECK(this, get_input_size() == plan.inputs.size() + 1, "its plan has ", plan.inputs.size(),
                        " inputs; it is given ", get_input_size() - 1);
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const PlanTensor& tensor = plan.inputs[i];
    const ov::element::Type& type = get_input_element_type(i + 1);
    NODE_VALIDATION_CHECK(this, type == element_type(tensor.dtype) || type.is_dynamic(), "input ", tensor.name, " is ",
                          type, "; its plan expects ", element_type(tensor.dtype));
    const ov::PartialShape& shape = get_input_partial_shape(i + 1);
    NODE_VALIDATION_CHECK(this, shape.compatible(shape_of(tensor)), "input ", tensor.name, " has shape ", shape,
                          "; its plan was made for ", shape_of(tensor));
  }
  set_output_size(plan.outputs.size());
  for (std::size_t i = 0; i < plan.outputs.size(); ++i)
    set_output_type(i, element_type(plan.outputs[i].dtype), shape_of(plan.outputs[i]));
}

std::shared_ptr<ov::Node> PlanOp::clone_with_new_inputs(const ov::OutputVector& arguments) const {
  return std::make_shared<PlanOp>(arguments, prepared_);
}

bool PlanOp::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const Plan& plan = prepared_->plan();
  const Lent lent(*prepared_);
  Run& run = *lent;
  std::uint32_t index = 0;
  for (; index < plan.inputs.size(); ++index) {
    const ov::Tensor& tensor = inputs[index + 1];
    run.bind(index, const_cast<void*>(static_cast<const void*>(tensor.data())), tensor.get_byte_size());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].set_shape(shape_of(plan.outputs[i]));
    run.bind(index + static_cast<std::uint32_t>(i), outputs[i].data(), outputs[i].get_byte_size());
  }
  run();
  return true;
}

}  // namespace edgekit

OPENVINO_CREATE_EXTENSIONS(std::vector<ov::Extension::Ptr>({
    std::make_shared<ov::OpExtension<edgekit::PlanOp>>(),
    std::make_shared<ov::frontend::onnx::OpExtension<edgekit::PlanOp>>("Plan", "edgekit"),
}));
