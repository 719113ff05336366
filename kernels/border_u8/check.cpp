#include <algorithm>

#include "border_u8/border_u8.h"

namespace edgekit {

void check(const BorderU8& p, const Checker& checker) {
  checker.in_range(p.rows, 1, kMaxCount, "rows");
  checker.in_range(p.columns, 1, kMaxCount, "columns");
  checker.in_range(p.pixel_bytes, 1, kMaxCount, "pixel_bytes");
  checker.in_range(p.top, 0, kMaxCount, "top");
  checker.in_range(p.bottom, 0, kMaxCount, "bottom");
  checker.in_range(p.left, 0, kMaxCount, "left");
  checker.in_range(p.right, 0, kMaxCount, "right");
  checker.in_range(p.value, 0, 255, "value");
  const std::int64_t pixels = static_cast<std::int64_t>(p.columns) + std::max(p.left, p.right);
  checker.in_range(p.row_stride, pixels * p.pixel_bytes, kMaxStride, "row_stride");
  const std::int64_t rows = static_cast<std::int64_t>(p.top) + p.rows + p.bottom;
  const std::int64_t columns = static_cast<std::int64_t>(p.left) + p.columns + p.right;
  checker.writes(p.output, extent(rows, p.row_stride, columns * p.pixel_bytes), "output");
}

}  // namespace edgekit
