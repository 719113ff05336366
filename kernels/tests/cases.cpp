#include "tests/cases.h"

#include <cstring>
#include <fstream>
#include <stdexcept>

namespace edgekit {

namespace {

class CaseReader {
 public:
  CaseReader(const Bytes& file, std::string path) : file_(file), path_(std::move(path)) {}

  std::vector<Case> read() {
    if (std::memcmp(take_bytes(8), "EDGECASE", 8) != 0 || number() != 1)
      throw std::runtime_error(path_ + " is not a file of cases; write it again with tests/conformance/dump_cases.py");
    std::vector<Case> cases(number());
    for (Case& found : cases) read(found);
    return cases;
  }

 private:
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take_bytes(sizeof(T)), sizeof(T));
    return value;
  }

  const unsigned char* take_bytes(std::size_t count) {
    if (count > file_.size() - position_) throw std::runtime_error(path_ + " is truncated");
    position_ += count;
    return file_.data() + position_ - count;
  }

  std::uint32_t number() { return take<std::uint32_t>(); }

  Bytes bytes() {
    const std::uint32_t count = number();
    const unsigned char* start = take_bytes(count);
    return Bytes(start, start + count);
  }

  std::string text() {
    const Bytes found = bytes();
    return std::string(found.begin(), found.end());
  }

  void read(Case& found) {
    found.name = text();
    found.op = text();
    found.inputs = number();
    found.record = bytes();
    found.buffers.resize(number());
    for (CaseBuffer& buffer : found.buffers) {
      buffer.space = number();
      buffer.contents = bytes();
    }
    found.expected.resize(number());
    for (Expected& expected : found.expected) {
      for (std::uint32_t* each : {&expected.space, &expected.offset, &expected.dtype}) *each = number();
      expected.epsilons = take<float>();
      expected.floor = take<float>();
      expected.contents = bytes();
    }
  }

  const Bytes& file_;
  std::string path_;
  std::size_t position_ = 0;
};

}  // namespace

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot read " + path);
  Bytes bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw std::runtime_error("cannot read " + path);
  return bytes;
}

std::vector<Case> read_cases(const std::string& path) {
  const Bytes file = read_file(path);
  return CaseReader(file, path).read();
}

}  // namespace edgekit
