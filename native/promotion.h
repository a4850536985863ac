// Moves a mapped file's bytes into anonymous huge pages, slice by slice, at the addresses where they are, while others read
// them: kernels that read a thousand places of a file wait for its page table where it lies in pages of 4 KB. Linux only;
// elsewhere, and where it would gain nothing or take what is not there, the mapping serves on.
#pragma once
#include <atomic>
#include <cstdint>

enum class Promotion : int {
  off,         // not asked for, or not for so small a file
  waiting,     // for the mapping's own pages
  moving,
  done,
  huge,        // the mapping is on huge pages as it is
  elsewhere,   // another process does it
  noMemory,    // too little would stay available; what was moved stays
  unsupported,
};

#ifdef __linux__
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>

namespace {

constexpr int64_t kHugePageBytes = 2 << 20, kSliceBytes = 32 << 20;
constexpr int64_t kStayAvailable = int64_t{2} << 30;  // bytes that others may need
constexpr int64_t kStayCached = int64_t{4} << 30;   // where so much is free, the file may stay in the page cache

// A line of /proc/meminfo in bytes; 0 where there is none.
inline int64_t memoryInfo(const char* name) {
  int64_t found = 0, kib;
  char line[128], key[64];
  FILE* file = fopen("/proc/meminfo", "r");
  while (file && found == 0 && fgets(line, sizeof line, file))
    if (sscanf(line, "%63[^:]: %" SCNd64, key, &kib) == 2 && strcmp(key, name) == 0) found = kib << 10;
  if (file) fclose(file);
  return found;
}

// Bytes of a mapping that are on huge pages.
inline int64_t hugeBytes(const void* begin) {
  int64_t huge = 0, kib;
  uint64_t from, to;
  bool inside = false;
  char line[512], key[64];
  FILE* file = fopen("/proc/self/smaps", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) inside = from == reinterpret_cast<uintptr_t>(begin);
    else if (inside && sscanf(line, "%63[^:]: %" SCNd64, key, &kib) == 2 &&
             (strcmp(key, "FilePmdMapped") == 0 || strcmp(key, "ShmemPmdMapped") == 0))
      huge += kib << 10;
  }
  if (file) fclose(file);
  return huge;
}

// A copy of a slice on huge pages, read-only, put in its place; false without memory.
inline bool moveSlice(uint8_t* at, int64_t bytes) {
  auto* base = static_cast<uint8_t*>(mmap(nullptr, static_cast<size_t>(bytes + kHugePageBytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) return false;
  const auto unaligned = reinterpret_cast<uintptr_t>(base) % kHugePageBytes;
  uint8_t* copy = base + (unaligned == 0 ? 0 : kHugePageBytes - unaligned);
  madvise(copy, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  memcpy(copy, at, static_cast<size_t>(bytes));
  // Readers of the old pages wait for this call, or find the new ones.
  const bool moved = mprotect(copy, static_cast<size_t>(bytes), PROT_READ) == 0 &&
                     mremap(copy, static_cast<size_t>(bytes), static_cast<size_t>(bytes), MREMAP_MAYMOVE | MREMAP_FIXED, at) == at;
  if (copy > base) munmap(base, static_cast<size_t>(copy - base));
  if (!moved) munmap(copy, static_cast<size_t>(bytes));
  munmap(copy + bytes, static_cast<size_t>(base + kHugePageBytes - copy));
  return moved;
}

// Runs on a thread of its own until all is moved or `stop`; `fd` stays locked as long as it is open.
inline Promotion promote(uint8_t* data, int64_t bytes, int fd, const std::atomic<bool>& stop, std::atomic<int64_t>& moved, std::atomic<Promotion>& state) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return Promotion::elsewhere;
  if (hugeBytes(data) > bytes / 10 * 9) return Promotion::huge;
  // Only what nobody else wants of the processors.
  sched_param none{};
  sched_setscheduler(0, SCHED_IDLE, &none);
  state = Promotion::moving;
  const int64_t first = (kHugePageBytes - static_cast<int64_t>(reinterpret_cast<uintptr_t>(data) % kHugePageBytes)) % kHugePageBytes;
  const int64_t end = first + (bytes - first) / kHugePageBytes * kHugePageBytes;
  for (int64_t at = first; at < end && !stop; at += kSliceBytes) {
    const int64_t slice = end - at < kSliceBytes ? end - at : kSliceBytes;
    if (memoryInfo("MemAvailable") < kStayAvailable + slice || !moveSlice(data + at, slice)) return Promotion::noMemory;
    if (memoryInfo("MemFree") < kStayCached) posix_fadvise(fd, at, slice, POSIX_FADV_DONTNEED);
    moved += slice;
  }
  return Promotion::done;
}

}  // namespace
#else
namespace {
inline Promotion promote(uint8_t*, int64_t, int, const std::atomic<bool>&, std::atomic<int64_t>&, std::atomic<Promotion>&) { return Promotion::unsupported; }
}  // namespace
#endif
