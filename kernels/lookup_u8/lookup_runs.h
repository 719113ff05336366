// lookup_u8 over the runs of an image: what its rows share.
#pragma once

#include <cstring>

#include "common/runs.h"
#include "ops.h"

namespace edgekit {

// run(input, output, bytes) looks up one run; without a table, runs are copied.
template <class Run>
static inline void lookup_image(const LookupU8& p, const Memory* memory, Run run) {
  const Runs runs = runs_of(p.rows, p.columns, p.channels,
                            {p.input_row_stride, p.input_column_stride, p.output_row_stride, p.output_column_stride});
  const bool copies = p.table.space == kNone;
  for (std::int64_t y = 0; y < runs.rows; ++y)
    for (std::int64_t x = 0; x < runs.columns; ++x) {
      const auto* input = at<const std::uint8_t>(memory, p.input) + y * p.input_row_stride + x * p.input_column_stride;
      auto* output = at<std::uint8_t>(memory, p.output) + y * p.output_row_stride + x * p.output_column_stride;
      if (copies)
        std::memmove(output, input, static_cast<std::size_t>(runs.bytes));
      else
        run(input, output, runs.bytes);
    }
}

}  // namespace edgekit
