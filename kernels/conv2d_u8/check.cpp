#include "common/packed.h"
#include "conv2d_u8/conv2d_u8.h"

namespace edgekit {

namespace {

void check_numbers(const Conv2dU8& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.outputs, 1, kMaxCount, "outputs");
  checker.in_range(p.taps_y, 1, kMaxCount, "taps_y");
  checker.in_range(p.taps_x, 1, kMaxCount, "taps_x");
  checker.in_range(p.tap_bytes, 1, kMaxCount, "tap_bytes");
  checker.in_range(p.input_row_stride, 0, kMaxStride, "input_row_stride");
  checker.in_range(p.input_column_stride, 0, kMaxStride, "input_column_stride");
  checker.in_range(p.tap_y_stride, 0, kMaxStride, "tap_y_stride");
  checker.in_range(p.tap_x_stride, 0, kMaxStride, "tap_x_stride");
  checker.in_range(p.output_row_stride, 0, kMaxStride, "output_row_stride");
  checker.in_range(p.output_column_stride, p.outputs, kMaxStride, "output_column_stride");
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.in_range(p.low, 0, 255, "low");
  checker.in_range(p.high, p.low, 255, "high");
}

std::uint64_t image_bytes(const Conv2dU8& p, std::int64_t row_stride, std::int64_t column_stride, std::int64_t pixel) {
  return extent(p.rows, row_stride, static_cast<std::int64_t>(extent(p.columns, column_stride, pixel)));
}

}  // namespace

void check(const Conv2dU8& p, const Checker& checker) {
  check_numbers(p, checker);
  const std::int64_t taps = std::int64_t{p.taps_y} * p.taps_x;
  checker.in_range(taps, 1, kMaxCount, "taps_y * taps_x");
  const std::int64_t weights_per_output = taps * round_up(p.tap_bytes, 4);
  checker.in_range(weights_per_output, 1, kMaxStride, "taps_y * taps_x * tap_bytes");
  const std::int64_t tap_row = static_cast<std::int64_t>(extent(p.taps_x, p.tap_x_stride, p.tap_bytes));
  const std::int64_t window = static_cast<std::int64_t>(extent(p.taps_y, p.tap_y_stride, tap_row));
  checker.reads(p.input, image_bytes(p, p.input_row_stride, p.input_column_stride, window), "input",
                p.tap_bytes % 4 ? Overread::slack : Overread::no);
  checker.reads(p.weights, packed_bytes(p.outputs, weights_per_output), "weights");
  const std::uint64_t lanes = round_up(p.outputs, kLaneOutputs);
  checker.reads(p.bias, lanes * 4, "bias", Overread::no, 4);
  checker.reads(p.scale, lanes * 4, "scale", Overread::no, 4);
  checker.writes(p.output, image_bytes(p, p.output_row_stride, p.output_column_stride, p.outputs), "output");
  if (Checker::absent(p.residual)) return;
  checker.in_range(p.residual_row_stride, 0, kMaxStride, "residual_row_stride");
  checker.in_range(p.residual_column_stride, 0, kMaxStride, "residual_column_stride");
  checker.in_range(p.residual_zero_point, 0, 255, "residual_zero_point");
  checker.finite(p.residual_scale, "residual_scale");
  checker.reads(p.residual, image_bytes(p, p.residual_row_stride, p.residual_column_stride, p.outputs), "residual");
}

}  // namespace edgekit
