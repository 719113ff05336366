// lookup_u8: a function of one level, as a table of 256; without a table, a copy.
//
//   output[y][x][c] = table[input[y][x][c]]
//
// input: u8, channels bytes for each pixel. With a table it may be read up to kSlack bytes further.
// table: u8, 256 values, or absent.
// output: u8, written exactly; no alignment. It may be the input itself, with the same strides; else it must not
// overlap it.
#pragma once

#include "common/checker.h"
#include "common/params.h"

// clang-format off
#define EDGEKIT_LOOKUP_U8_FIELDS(REF, I32, F32)                                                              \
  REF(input) REF(table) REF(output)                                                                          \
  I32(rows) I32(columns) I32(channels) I32(input_row_stride) I32(input_column_stride) I32(output_row_stride) \
  I32(output_column_stride)
// clang-format on

namespace edgekit {

EDGEKIT_DECLARE_PARAMS(LookupU8, EDGEKIT_LOOKUP_U8_FIELDS)

void check(const LookupU8& params, const Checker& checker);

}  // namespace edgekit
