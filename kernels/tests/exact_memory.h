// Memory of exactly so many bytes, which a kernel cannot leave unseen: under AddressSanitizer any access behind it is
// reported; else it ends right before a page that cannot be touched, which also catches what sanitizers do not see
// (masked loads and stores, inline assembly).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "common/params.h"
#include "tests/cases.h"

#if !defined(__SANITIZE_ADDRESS__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace edgekit {

class ExactMemory {
 public:
  // Memory of `space` with these contents. Arena, constants and state are aligned to 64 as those of a plan are; an
  // input or output is aligned to 4 and to no more.
  ExactMemory(std::uint32_t space, const Bytes& contents) : size_(contents.size()) {
    allocate(space < kFirstIo ? 64 : 4);
    if (size_) std::memcpy(data_, contents.data(), size_);
  }
  ExactMemory(const ExactMemory&) = delete;
  ExactMemory& operator=(const ExactMemory&) = delete;

  unsigned char* data() { return data_; }

  // Bytes that may be touched behind the end, without a sanitizer: an emulator may read the whole vector of a masked
  // load (QEMU 7.2 does).
  inline static std::size_t spare = 0;

#if defined(__SANITIZE_ADDRESS__)
  ~ExactMemory() { std::free(held_); }

 private:
  void allocate(std::size_t align) {
    const std::size_t off = align == 4 ? 4 : 0;
    if (posix_memalign(&held_, 64, size_ + off) != 0) throw std::bad_alloc();
    data_ = static_cast<unsigned char*>(held_) + off;
  }
#else
  ~ExactMemory() { munmap(held_, mapped_); }

 private:
  void allocate(std::size_t align) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t taken = (size_ + align - 1) / align * align + spare;
    const std::size_t readable = (taken / page + 1) * page;
    mapped_ = readable + page;
    held_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (held_ == MAP_FAILED) throw std::bad_alloc();
    unsigned char* end = static_cast<unsigned char*>(held_) + readable;
    if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
    data_ = end - taken;
  }
  std::size_t mapped_ = 0;
#endif

  std::size_t size_;
  void* held_ = nullptr;
  unsigned char* data_ = nullptr;
};

}  // namespace edgekit
