// Runs every conformance case on every row of its kernel that this CPU has:
//
//   replay CASES [ROWS]
//
// CASES: a file as cases.h describes it. ROWS, such as `scalar,avx2`, is given where the CPU is emulated: the rows that
// must run here, no more and no less, so that a row that is missing cannot pass for one that was tested.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "common/cpu.h"
#include "common/registry.h"
#include "tests/cases.h"
#include "tests/exact_memory.h"

namespace edgekit {

namespace {

// The memories of one call, checked and run as a plan's would be.
class Call {
 public:
  explicit Call(const Case& found) : case_(found), params_(found.record.size() / 4) {
    std::memcpy(params_.data(), found.record.data(), found.record.size());
    for (const CaseBuffer& buffer : found.buffers) {
      held_.push_back(std::make_unique<ExactMemory>(buffer.space, buffer.contents));
      memory_.base[buffer.space] = held_.back()->data();
    }
  }

  void check(const Op& op) const {
    Sizes sizes;
    sizes.inputs = case_.inputs;
    for (const CaseBuffer& buffer : case_.buffers) {
      sizes.bytes[buffer.space] = buffer.contents.size() - (buffer.space < kFirstIo ? kSlack : 0);
      if (buffer.space >= kFirstIo + case_.inputs)
        sizes.outputs = std::max(sizes.outputs, buffer.space + 1 - kFirstIo - case_.inputs);
    }
    Checker checker(sizes, op.name);
    checker.constants = memory_.base[kConstants];
    op.check(params_.data(), checker);
  }

  void run(const KernelRow& kernel) const { kernel.run(params_.data(), &memory_); }

  // What is wrong with the memories after the call; empty where nothing is.
  std::string wrong() const;

 private:
  const Case& case_;
  std::vector<std::uint32_t> params_;
  std::vector<std::unique_ptr<ExactMemory>> held_;
  Memory memory_{};
};

bool within(const Expected& expected, double got, double wanted) {
  if (expected.epsilons == 0 || !std::isfinite(wanted)) return got == wanted || (std::isnan(got) && std::isnan(wanted));
  const double allowed = double{expected.epsilons} * double{std::numeric_limits<float>::epsilon()} *
                         std::max(std::fabs(wanted), double{expected.floor});
  return std::fabs(got - wanted) < allowed + 1e-300;
}

double value_at(const unsigned char* values, std::uint32_t dtype, std::size_t index) {
  if (dtype != 1) return values[index];
  float value;
  std::memcpy(&value, values + index * 4, 4);
  return double{value};
}

// Where `got` is not what is expected; empty where it is.
std::string compare(const Expected& expected, const unsigned char* got) {
  if (std::memcmp(got, expected.contents.data(), expected.contents.size()) == 0) return "";
  const std::size_t count = expected.contents.size() / (expected.dtype == 1 ? 4 : 1);
  for (std::size_t i = 0; i < count; ++i) {
    const double found = value_at(got, expected.dtype, i);
    const double wanted = value_at(expected.contents.data(), expected.dtype, i);
    if (within(expected, found, wanted)) continue;
    std::ostringstream text;
    text.precision(9);
    text << "value " << i << " is " << found << ", expected " << wanted;
    return text.str();
  }
  return "";
}

std::string Call::wrong() const {
  for (const Expected& expected : case_.expected) {
    const std::string found = compare(expected, memory_.base[expected.space] + expected.offset);
    if (!found.empty()) return found;
  }
  for (const CaseBuffer& buffer : case_.buffers) {
    Bytes untouched = buffer.contents;
    const unsigned char* got = memory_.base[buffer.space];
    for (const Expected& expected : case_.expected)
      if (expected.space == buffer.space)
        std::memcpy(untouched.data() + expected.offset, got + expected.offset, expected.contents.size());
    const auto at = std::mismatch(untouched.begin(), untouched.end(), got).first;
    if (at != untouched.end())
      return "wrote outside of its outputs: byte " + std::to_string(at - untouched.begin()) + " of space " +
             std::to_string(buffer.space);
  }
  return "";
}

// How many cases of the kernel's op were run, and how many failed; each failure is printed.
struct Counts {
  int run = 0, failed = 0;
};

Counts replay(const KernelRow& kernel, const std::vector<Case>& cases) {
  Counts counts;
  const Op& op = *find_op(kernel.op);
  for (const Case& each : cases) {
    if (each.op != kernel.op) continue;
    if (each.record.size() != op.params_bytes) throw std::runtime_error(each.name + ": a record of another size");
    const Call call(each);
    call.check(op);
    call.run(kernel);
    const std::string wrong = call.wrong();
    ++counts.run;
    if (wrong.empty()) continue;
    ++counts.failed;
    std::printf("FAILED  %-14s %-11s %s: %s\n", kernel.op, kernel.row, each.name.c_str(), wrong.c_str());
  }
  return counts;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "nothing that a row needs" : text;
}

// Whether the rows that run here are those of the list.
bool rows_are(const std::string& list) {
  std::set<std::string> wanted, here;
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) wanted.insert(name);
  for (const KernelRow& kernel : kernel_rows())
    if (runs_here(kernel.row)) here.insert(kernel.row);
  if (wanted == here) return true;
  std::printf("FAILED  rows that run here: %s; expected %s\n", joined({here.begin(), here.end()}).c_str(),
              list.c_str());
  return false;
}

// Prints a line for the kernel; how many failures there are.
int report(const KernelRow& kernel, const Counts& counts) {
  if (counts.run == 0) {
    std::printf("FAILED  %-14s %-11s there are no cases of it\n", kernel.op, kernel.row);
    return 1;
  }
  std::printf("%s %-14s %-11s %d cases", counts.failed ? "FAILED " : "ok     ", kernel.op, kernel.row, counts.run);
  if (counts.failed) std::printf(", %d failed", counts.failed);
  std::printf("\n");
  return counts.failed;
}

int replay_all(const std::vector<Case>& cases) {
  int failures = 0;
  for (const KernelRow& kernel : kernel_rows()) {
    if (!runs_here(kernel.row)) {
      std::printf("skipped %-14s %-11s this CPU has not what it needs\n", kernel.op, kernel.row);
      continue;
    }
    failures += report(kernel, replay(kernel, cases));
  }
  return failures;
}

}  // namespace

}  // namespace edgekit

int main(int count, char** arguments) {
  using namespace edgekit;
  if (count != 2 && count != 3) {
    std::fprintf(stderr, "usage: replay CASES [ROWS]\n");
    return 2;
  }
  try {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::printf("this CPU has: %s\n", joined(cpu_isa()).c_str());
    const bool emulated = count == 3;
    if (emulated) ExactMemory::spare = 64;
    const bool rows_fit = !emulated || rows_are(arguments[2]);
    return replay_all(read_cases(arguments[1])) == 0 && rows_fit ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("FAILED  %s\n", error.what());
    return 1;
  }
}
