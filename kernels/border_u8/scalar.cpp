#include <cstring>

#include "ops.h"

namespace edgekit {

namespace {

void fill(std::uint8_t* first, const std::uint8_t* end, int value) {
  std::memset(first, value, static_cast<std::size_t>(end - first));
}

// No bytes lie between two rows: the right border of one and the left border of the next are filled at once.
void fill_joined(const BorderU8& p, std::uint8_t* image) {
  const std::int64_t inner = static_cast<std::int64_t>(p.columns) * p.pixel_bytes;
  std::uint8_t* row =
      image + static_cast<std::int64_t>(p.top) * p.row_stride + static_cast<std::int64_t>(p.left) * p.pixel_bytes;
  fill(image, row, p.value);
  for (int y = 1; y < p.rows; ++y, row += p.row_stride) fill(row + inner, row + p.row_stride, p.value);
  const std::int64_t below = static_cast<std::int64_t>(p.bottom) * p.row_stride;
  fill(row + inner, row + inner + below + static_cast<std::int64_t>(p.right) * p.pixel_bytes, p.value);
}

void fill_apart(const BorderU8& p, std::uint8_t* row) {
  const std::int64_t left = static_cast<std::int64_t>(p.left) * p.pixel_bytes;
  const std::int64_t inner = static_cast<std::int64_t>(p.columns) * p.pixel_bytes;
  const std::int64_t whole = left + inner + static_cast<std::int64_t>(p.right) * p.pixel_bytes;
  for (int y = -p.top; y < p.rows + p.bottom; ++y, row += p.row_stride) {
    const bool is_inner = y >= 0 && y < p.rows;
    fill(row, row + (is_inner ? left : whole), p.value);
    if (is_inner) fill(row + left + inner, row + whole, p.value);
  }
}

}  // namespace

extern "C" void edgekit_border_u8_scalar(const BorderU8* p, const Memory* memory) {
  auto* image = at<std::uint8_t>(memory, p->output);
  const std::int64_t pixels = static_cast<std::int64_t>(p->left) + p->columns + p->right;
  if (p->row_stride <= pixels * p->pixel_bytes)
    fill_joined(*p, image);
  else
    fill_apart(*p, image);
}

}  // namespace edgekit
