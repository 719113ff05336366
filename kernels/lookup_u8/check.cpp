#include "lookup_u8/lookup_u8.h"

namespace edgekit {

void check(const LookupU8& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.channels, 1, kMaxCount, "channels");
  checker.in_range(p.input_row_stride, 0, kMaxStride, "input_row_stride");
  checker.in_range(p.input_column_stride, 0, kMaxStride, "input_column_stride");
  checker.in_range(p.output_row_stride, 0, kMaxStride, "output_row_stride");
  checker.in_range(p.output_column_stride, 0, kMaxStride, "output_column_stride");
  const auto bytes = [&](int row_stride, int column_stride) {
    return extent(p.rows, row_stride, extent(p.columns, column_stride, p.channels));
  };
  const bool copies = Checker::absent(p.table);
  checker.reads(p.input, bytes(p.input_row_stride, p.input_column_stride), "input",
                copies ? Overread::no : Overread::slack);
  if (!copies) checker.reads(p.table, 256, "table");
  checker.writes(p.output, bytes(p.output_row_stride, p.output_column_stride), "output");
}

}  // namespace edgekit
