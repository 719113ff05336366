#include "pool_u8/pool_u8.h"

namespace edgekit {

void check(const PoolU8& p, const Checker& checker) {
  checker.in_range(p.maximum, 0, 1, "maximum");
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.channels, 1, kMaxCount, "channels");
  checker.in_range(p.taps_y, 1, kMaxCount, "taps_y");
  checker.in_range(p.taps_x, 1, kMaxCount, "taps_x");
  checker.in_range(static_cast<std::int64_t>(p.taps_y) * p.taps_x, 1, 1 << 23, "taps_y * taps_x");  // of 8 bits: 31
  checker.in_range(p.input_row_stride, 0, kMaxStride, "input_row_stride");
  checker.in_range(p.input_column_stride, 0, kMaxStride, "input_column_stride");
  checker.in_range(p.tap_y_stride, 0, kMaxStride, "tap_y_stride");
  checker.in_range(p.tap_x_stride, 0, kMaxStride, "tap_x_stride");
  checker.in_range(p.output_row_stride, 0, kMaxStride, "output_row_stride");
  checker.in_range(p.output_column_stride, 0, kMaxStride, "output_column_stride");
  checker.in_range(p.input_zero_point, 0, 255, "input_zero_point");
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.in_range(p.low, 0, 255, "low");
  checker.in_range(p.high, p.low, 255, "high");
  checker.finite(p.scale, "scale");
  const std::int64_t window = extent(p.taps_y, p.tap_y_stride, extent(p.taps_x, p.tap_x_stride, p.channels));
  const std::int64_t row = extent(p.columns, p.input_column_stride, window);
  checker.reads(p.input, extent(p.rows, p.input_row_stride, row), "input", Overread::slack);
  const std::int64_t line = extent(p.columns, p.output_column_stride, p.channels);
  checker.writes(p.output, extent(p.rows, p.output_row_stride, line), "output");
}

}  // namespace edgekit
