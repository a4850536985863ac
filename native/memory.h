// A file mapped for reading, and zeroed memory on huge pages where the system gives them.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include "promotion.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Empty on success, else the system's words. The bytes of a file that has so many move to huge pages later on.
  std::string open(const char* path, double promoteFrom) {
#ifdef _WIN32
    (void)promoteFrom;
    HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) return "cannot open: error " + std::to_string(GetLastError());
    LARGE_INTEGER size;
    GetFileSizeEx(file, &size);
    HANDLE mapping = CreateFileMappingA(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    CloseHandle(file);
    if (!mapping) return "cannot map: error " + std::to_string(GetLastError());
    data_ = static_cast<const uint8_t*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
    CloseHandle(mapping);
    if (!data_) return "cannot map: error " + std::to_string(GetLastError());
    bytes_ = size.QuadPart;
#else
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return std::string("cannot open: ") + strerror(errno);
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size <= 0) {
      ::close(fd);
      return "cannot map: the file is empty";
    }
    void* p = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
      const int failure = errno;
      ::close(fd);
      return std::string("cannot map: ") + strerror(failure);
    }
#ifdef MADV_HUGEPAGE
    // Where the file system has large folios, even pages that are first touched out of order then come 2 MB at a time.
    madvise(p, static_cast<size_t>(info.st_size), MADV_HUGEPAGE);
#endif
    data_ = static_cast<const uint8_t*>(p);
    bytes_ = info.st_size;
    if (static_cast<double>(bytes_) >= promoteFrom) promotion_ = Promotion::waiting;
    fill_ = std::thread([this, fd] {
      fill();
      if (promotion_ == Promotion::waiting && !stop_) promotion_ = promote(const_cast<uint8_t*>(data_), bytes_, fd, stop_, promoted_, promotion_);
      if (promotion_ == Promotion::done) while (!stop_) stop_.wait(false);  // the lock says that it is promoted here
      ::close(fd);
    });
#endif
    return {};
  }

  ~MappedFile() {
    stop_ = true;
    stop_.notify_all();
    if (fill_.joinable()) fill_.join();
    if (!data_) return;
#ifdef _WIN32
    UnmapViewOfFile(data_);
#else
    munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(bytes_));
#endif
  }

  const uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Promotion promotion() const { return promotion_; }
  int64_t promoted() const { return promoted_; }

 private:
#ifndef _WIN32
  // Enters the pages into the page table ahead of the kernels: a fault for each 4 KB would cost them half their rate.
  void fill() {
    constexpr int64_t slice = 64 << 20;
    for (int64_t at = 0; at < bytes_ && !stop_; at += slice) {
      const int64_t n = bytes_ - at < slice ? bytes_ - at : slice;
      void* p = const_cast<uint8_t*>(data_) + at;
#ifdef MADV_POPULATE_READ
      if (madvise(p, static_cast<size_t>(n), MADV_POPULATE_READ) == 0) continue;
#endif
      madvise(p, static_cast<size_t>(n), MADV_WILLNEED);
    }
  }
#endif

  const uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<Promotion> promotion_{Promotion::off};
  std::atomic<int64_t> promoted_{0};
  std::thread fill_;
};

// Zeroed memory, taken from the system page by page as it is first written. Null data where there is none.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { release(); }

  bool allocate(int64_t bytes) {
    release();
#ifdef _WIN32
    base_ = VirtualAlloc(nullptr, static_cast<SIZE_T>(bytes), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!base_) return false;
    data_ = static_cast<uint8_t*>(base_);
#else
    const int64_t total = bytes + kHugePage;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    base_ = mmap(nullptr, static_cast<size_t>(total), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (base_ == MAP_FAILED) {
      base_ = nullptr;
      return false;
    }
    total_ = total;
    data_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(base_) + kHugePage - 1) & ~static_cast<uintptr_t>(kHugePage - 1));
#ifdef MADV_HUGEPAGE
    madvise(data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
#endif
    bytes_ = bytes;
    return true;
  }

  // Gives the memory of a stretch of whole system pages back; what it holds is undefined until it is written again.
  void discard(int64_t offset, int64_t bytes) {
#ifdef _WIN32
    VirtualAlloc(data_ + offset, static_cast<SIZE_T>(bytes), MEM_RESET, PAGE_READWRITE);
#elif defined(__APPLE__)
    madvise(data_ + offset, static_cast<size_t>(bytes), MADV_FREE);
#else
    madvise(data_ + offset, static_cast<size_t>(bytes), MADV_DONTNEED);
#endif
  }

  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  static constexpr int64_t kHugePage = 2 << 20;

  void release() {
    if (!base_) return;
#ifdef _WIN32
    VirtualFree(base_, 0, MEM_RELEASE);
#else
    munmap(base_, static_cast<size_t>(total_));
#endif
    base_ = nullptr;
    data_ = nullptr;
    bytes_ = 0;
  }

  void* base_ = nullptr;
  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0, total_ = 0;
};
