// Alters plan files, and sees that each is refused or runs inside of its memories; to be built with AddressSanitizer:
//
//   fuzz PLAN...
//
// 1. Every byte changed: refused by the checksum.
// 2. Truncated anywhere: refused, also with size and checksum made right again.
// 3. With the checksum made right again: every byte before the constants changed in several ways, then several words at
//    once and bytes of the constants, at random with a fixed seed. Refused with a PlanError, or run: with all tensors
//    bound, and as a stream.
// A plan that would take long is stopped, and one that asks for much memory is not run: neither is an error, and the
// last line of each plan counts them.
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "plan/crc32.h"
#include "plan/plan.h"
#include "tests/bound_run.h"
#include "tests/cases.h"

namespace edgekit {

namespace {

constexpr std::size_t kChecksumAt = 12, kCheckedFrom = 16, kSizeAt = 16, kConstantsAt = 48;
constexpr std::uint64_t kMuchMemory = 1 << 24;
constexpr int kLongMs = 20;
constexpr int kRandomEdits = 20000;

// What is being tried, for the message where it fails.
char current[256] = "";

// Leaves a kernel that runs long: kernels hold nothing that would have to be released.
sigjmp_buf out_of_kernel;
volatile sig_atomic_t in_kernel = 0;

void leave_kernel(int) {
  if (in_kernel) siglongjmp(out_of_kernel, 1);
}

void set_timer(int milliseconds) {
  itimerval timer{};
  timer.it_value.tv_usec = milliseconds * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

// Whether the run came to its end.
bool run_for_a_while(const BoundRun& run) {
  if (sigsetjmp(out_of_kernel, 1) != 0) {
    in_kernel = 0;
    return false;
  }
  in_kernel = 1;
  set_timer(kLongMs);
  run();
  in_kernel = 0;
  set_timer(0);
  return true;
}

struct Counts {
  int refused = 0, run = 0, too_large = 0, stopped = 0;
};

std::uint64_t memory_of(const Plan& plan) {
  std::uint64_t bytes = plan.arena_bytes + plan.state_bytes;
  for (const auto* tensors : {&plan.inputs, &plan.outputs})
    for (const PlanTensor& tensor : *tensors) bytes += tensor.bytes;
  return bytes;
}

// The plan of `file`; null, and counted, where it is refused. A copy of exactly its size shows reads behind its end.
std::shared_ptr<const Plan> parsed(const Bytes& file, const char* row, Counts& counts) {
  ExactMemory exact(kFirstIo, file);
  try {
    return Plan::parse(exact.data(), file.size(), row);
  } catch (const PlanError&) {
    ++counts.refused;
    return nullptr;
  }
}

void parse_and_run(const Bytes& file, const char* row, Counts& counts) {
  const auto plan = parsed(file, row, counts);
  if (!plan) return;
  if (memory_of(*plan) > kMuchMemory) {
    ++counts.too_large;
    return;
  }
  BoundRun bound(plan);
  bool ended = run_for_a_while(bound);
  if (!plan->states.empty()) {
    BoundRun stream(plan);
    stream.stream();
    ended &= run_for_a_while(stream);
  }
  ++(ended ? counts.run : counts.stopped);
}

void put_word(Bytes& file, std::size_t at, std::uint32_t word) { std::memcpy(file.data() + at, &word, 4); }

std::uint32_t word_at(const Bytes& file, std::size_t at) {
  std::uint32_t word;
  std::memcpy(&word, file.data() + at, 4);
  return word;
}

void make_checksum_right(Bytes& file) {
  if (file.size() < kCheckedFrom) return;
  put_word(file, kChecksumAt, crc32(file.data() + kCheckedFrom, file.size() - kCheckedFrom));
}

// One plan and all that is done to it.
class Fuzz {
 public:
  explicit Fuzz(const std::string& path) : path_(path), file_(read_file(path)) {
    constants_at_ = file_.size() > kConstantsAt + 4 ? word_at(file_, kConstantsAt) : 0;
    if (constants_at_ > file_.size()) throw std::runtime_error(path + ": the constants lie outside of the file");
  }

  void run() {
    parse_and_run(file_, "", counts_);
    if (counts_.run != 1) throw std::runtime_error(path_ + ": does not run as it is");
    change_every_byte();
    truncate();
    change_every_checked_byte();
    change_at_random();
    std::printf("ok      %s: %d refused, %d run, %d too large to run, %d stopped\n", path_.c_str(), counts_.refused,
                counts_.run, counts_.too_large, counts_.stopped);
  }

 private:
  void say(const char* what, std::size_t at, unsigned value) {
    std::snprintf(current, sizeof current, "%s: %s %zu, %u", path_.c_str(), what, at, value);
  }

  void must_be_refused(const Bytes& file) {
    const int before = counts_.refused;
    parsed(file, "", counts_);
    if (counts_.refused == before) throw std::runtime_error(std::string("not refused: ") + current);
  }

  void change_every_byte() {
    Bytes altered = file_;
    for (std::size_t at = 0; at < file_.size(); ++at) {
      const unsigned char bit = static_cast<unsigned char>(1u << at % 8);
      say("without its checksum, byte and mask", at, bit);
      altered[at] ^= bit;
      must_be_refused(altered);
      altered[at] = file_[at];
    }
  }

  void truncate() {
    for (std::size_t size = 0; size < file_.size(); size += size < constants_at_ ? 1 : 61) {
      Bytes shorter(file_.begin(), file_.begin() + static_cast<std::ptrdiff_t>(size));
      say("truncated to", size, 0);
      must_be_refused(shorter);
      if (size >= kSizeAt + 8) put_word(shorter, kSizeAt, static_cast<std::uint32_t>(size));
      make_checksum_right(shorter);
      say("truncated, and made right, to", size, 0);
      must_be_refused(shorter);
    }
  }

  // Each byte of header, tables and records, with its neighbours as they were.
  void change_every_checked_byte() {
    Bytes altered = file_;
    for (std::size_t at = kCheckedFrom; at < constants_at_; ++at)
      for (const unsigned change : {0x01u, 0x02u, 0x10u, 0x40u, 0x80u, 0xffu}) {
        altered[at] = static_cast<unsigned char>(file_[at] ^ change);
        say("byte and mask", at, change);
        try_altered(altered);
        altered[at] = file_[at];
      }
  }

  void change_at_random() {
    for (int edit = 0; edit < kRandomEdits; ++edit) {
      Bytes altered = file_;
      for (std::uint32_t left = 1 + random_() % 4; left; --left) change_something(altered);
      say("random edit", static_cast<std::size_t>(edit), 0);
      try_altered(altered);
    }
  }

  // A word of the tables, mostly to one that is likely to be a mistake; or a byte of the constants.
  void change_something(Bytes& file) {
    static const std::uint32_t kWords[] = {0,        1,           2,           3,           4,           7,
                                           16,       64,          255,         4096,        1u << 20,    1u << 28,
                                           1u << 30, 0x7fffffffu, 0x7fc00000u, 0xffffffffu, 0xffffffc0u, 0x80000000u};
    if (random_() % 8 == 0 && constants_at_ < file.size()) {
      file[constants_at_ + random_() % (file.size() - constants_at_)] = static_cast<unsigned char>(random_());
      return;
    }
    const std::size_t words = (constants_at_ - kCheckedFrom) / 4;
    const std::size_t at = kCheckedFrom + random_() % words * 4;
    switch (random_() % 4) {
      case 0:
        return put_word(file, at, word_at(file, kCheckedFrom + random_() % words * 4));
      case 1:
        return put_word(file, at, word_at(file, at) + random_() % 9 - 4);
      case 2:
        return put_word(file, at, random_());
      default:
        return put_word(file, at, kWords[random_() % std::size(kWords)]);
    }
  }

  // Rows take turns, since each reads and writes in its own way.
  void try_altered(Bytes& file) {
    static const char* const kRows[] = {"", "scalar", "avx2"};
    make_checksum_right(file);
    const char* row = kRows[turn_++ % std::size(kRows)];
    parse_and_run(file, runs_here(row) ? row : "", counts_);
  }

  std::string path_;
  Bytes file_;
  std::size_t constants_at_ = 0, turn_ = 0;
  std::mt19937 random_{1};
  Counts counts_;
};

// What the sanitizers call before they report: the report must not be left when the time is up.
void before_report() {
  in_kernel = 0;
  std::fprintf(stderr, "the plan: %s\n", current);
}

}  // namespace

}  // namespace edgekit

extern "C" void __asan_on_error() { edgekit::before_report(); }
extern "C" void __ubsan_on_report() { edgekit::before_report(); }

int main(int count, char** arguments) {
  using namespace edgekit;
  if (count < 2) {
    std::fprintf(stderr, "usage: fuzz PLAN...\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  signal(SIGALRM, leave_kernel);
  try {
    for (int i = 1; i < count; ++i) Fuzz(arguments[i]).run();
    return 0;
  } catch (const std::exception& error) {  // a PlanError is caught where it may come; anything else is a mistake
    std::printf("FAILED  %s (%s)\n", error.what(), current);
    return 1;
  }
}
