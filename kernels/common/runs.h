// Images of bytes as runs: where pixels lie side by side in all of them, a row or the whole image is one run.
#pragma once

#include <cstdint>

namespace edgekit {

struct Runs {
  std::int64_t rows, columns, bytes;  // of a run
};

// strides: of a row and a column of each image, one after another.
template <int COUNT>
static inline Runs runs_of(int rows, int columns, int channels, const std::int32_t (&strides)[COUNT]) {
  Runs runs{rows, columns, channels};
  for (int i = 1; i < COUNT; i += 2)
    if (strides[i] != channels) return runs;
  runs.bytes *= columns;
  runs.columns = 1;
  for (int i = 0; i < COUNT; i += 2)
    if (strides[i] != runs.bytes) return runs;
  runs.bytes *= rows;
  runs.rows = 1;
  return runs;
}

}  // namespace edgekit
