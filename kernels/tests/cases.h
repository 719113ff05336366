// Conformance cases as files: written by tests/conformance/dump_cases.py, read by replay.
//
// Everything is little-endian. The file: `EDGECASE`, version (u32, 1), count of cases (u32), then each case:
//   name (bytes), op (bytes)      the case, and which op it calls
//   inputs (u32)                  how many of the I/O spaces are read-only inputs
//   record (bytes)                the op's parameters, as in a plan file
//   count (u32), of buffers:      space (u32), contents before the call (bytes), slack included where the space has it
//   count (u32), of expectations: space (u32), offset (u32), dtype (u32, as in a plan file: 1 f32, 2 u8),
//                                 epsilons (f32), floor (f32), what must stand there (bytes)
// where (bytes) is a length (u32) and that many bytes. What epsilons and floor mean: tests/conformance/case.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgekit {

using Bytes = std::vector<unsigned char>;

struct CaseBuffer {
  std::uint32_t space;
  Bytes contents;
};

struct Expected {
  std::uint32_t space, offset, dtype;
  float epsilons, floor;
  Bytes contents;
};

struct Case {
  std::string name, op;
  std::uint32_t inputs;
  Bytes record;
  std::vector<CaseBuffer> buffers;
  std::vector<Expected> expected;
};

// Throw std::runtime_error where the file cannot be read, or is not one of cases.
Bytes read_file(const std::string& path);
std::vector<Case> read_cases(const std::string& path);

}  // namespace edgekit
