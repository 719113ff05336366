#include "add_u8/add_u8.h"

namespace edgekit {

void check(const AddU8& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.channels, 1, kMaxCount, "channels");
  checker.in_range(p.a_row_stride, 0, kMaxStride, "a_row_stride");
  checker.in_range(p.a_column_stride, 0, kMaxStride, "a_column_stride");
  checker.in_range(p.b_row_stride, 0, kMaxStride, "b_row_stride");
  checker.in_range(p.b_column_stride, 0, kMaxStride, "b_column_stride");
  checker.in_range(p.output_row_stride, 0, kMaxStride, "output_row_stride");
  checker.in_range(p.output_column_stride, 0, kMaxStride, "output_column_stride");
  checker.in_range(p.a_zero_point, 0, 255, "a_zero_point");
  checker.in_range(p.b_zero_point, 0, 255, "b_zero_point");
  checker.in_range(p.zero_point, 0, 255, "zero_point");
  checker.in_range(p.low, 0, 255, "low");
  checker.in_range(p.high, p.low, 255, "high");
  checker.finite(p.a_scale, "a_scale");
  checker.finite(p.b_scale, "b_scale");
  const auto bytes = [&](int row_stride, int column_stride) {
    return extent(p.rows, row_stride, extent(p.columns, column_stride, p.channels));
  };
  checker.reads(p.a, bytes(p.a_row_stride, p.a_column_stride), "a", Overread::slack);
  checker.reads(p.b, bytes(p.b_row_stride, p.b_column_stride), "b", Overread::slack);
  checker.writes(p.output, bytes(p.output_row_stride, p.output_column_stride), "output");
}

}  // namespace edgekit
