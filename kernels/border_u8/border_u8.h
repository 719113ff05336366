// border_u8: fills the frame around an inner image, which convolutions then read as padding.
//
// The padded image has top + rows + bottom rows, row_stride bytes apart, each of left + columns + right pixels of
// pixel_bytes bytes. Everything of it is set to `value` but the inner rows x columns pixels, which are left as they
// are.
//
// row_stride may be less than a padded row, by at most `left` or `right` pixels: the right border of a row then lies
// in the left border of the next one. Where it is more, the bytes between two rows are not written.
// output: u8, the first byte of the padded image; no alignment.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_BORDER_U8_FIELDS(REF, I32, F32)                                                                \
  REF(output)                                                                                                  \
  I32(rows) I32(columns) I32(pixel_bytes) I32(top) I32(bottom) I32(left) I32(right) I32(row_stride) I32(value)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(BorderU8, EDGEKIT_BORDER_U8_FIELDS)

void check(const BorderU8& params, const Checker& checker);

}  // namespace edgekit
