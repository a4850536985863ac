// Which instruction sets this CPU has, asked by feature and never by model.
#include <cstring>
#include "kernels.h"
#include "train_kernels.h"

extern const Kernels kScalar;
#if defined(__x86_64__) || defined(_M_X64)
#define A3B_X86 1
extern const Kernels kAvx2, kAvx512;
Kernels amxKernels();
#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
static bool osSaves(unsigned mask) { return (_xgetbv(0) & mask) == mask; }
static bool hasAvx2() {
  int a[4], b[4];
  __cpuid(a, 1);
  __cpuidex(b, 7, 0);
  return (a[2] & (1 << 27)) && osSaves(6) && (a[2] & (1 << 12)) && (a[2] & (1 << 29)) && (b[1] & (1 << 5));
}
static bool hasAvx512() {
  int b[4];
  __cpuidex(b, 7, 0);
  const int need = (1 << 16) | (1 << 17) | (1 << 30) | static_cast<int>(1u << 31);
  return hasAvx2() && osSaves(0xe6) && (b[1] & need) == need && (b[2] & (1 << 11));
}
static bool hasAvx512Bf16() {
  int b[4];
  __cpuidex(b, 7, 0);
  if (b[0] < 1) return false;
  __cpuidex(b, 7, 1);
  return hasAvx512() && (b[0] & (1 << 5));
}
#else
#include <cpuid.h>
// Asked of the CPU itself: Clang's builtin does not know this name.
static bool hasF16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
static bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && hasF16c(); }
static bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
static bool hasAvx512Bf16() {
  unsigned a, b, c, d;  // older compilers' builtin does not know this name either
  return hasAvx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1 << 5));
}
#endif
#ifdef A3B_SOFT_TILES
static bool hasAmx() { return hasAvx512Bf16() && __builtin_cpu_supports("avx512vbmi"); }
#elif defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
// Tiles are 8 KB more of a thread to save, which Linux grants on request, once for all threads.
static bool tilesGranted() {
  constexpr int kRequest = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return granted;
}
static bool hasAmx() {
  unsigned a, b, c, d;
  const unsigned need = 1 << 22 | 1 << 24 | 1 << 25;  // bfloat16, tiles, int8
  return hasAvx512Bf16() && __builtin_cpu_supports("avx512vbmi") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & need) == need && tilesGranted();
}
#else
static bool hasAmx() { return false; }
#endif
#elif defined(__aarch64__)
#define A3B_ARM64 1
extern const Kernels kNeon;
#ifdef __linux__
#include <sys/auxv.h>
#endif
// With the dot product, which Apple's have had since the first one in a Mac.
static bool hasNeon() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
  return true;
#else
  return false;
#endif
}
#endif

const Kernels* kernelsFor(const char* name) {
  const bool any = name == nullptr || *name == '\0';
#ifdef A3B_X86
  if (hasAmx()) {
    static const Kernels amx = amxKernels();
    if (any || strcmp(name, amx.name) == 0) return &amx;
  }
  if (hasAvx512() && (any || strcmp(name, kAvx512.name) == 0)) return &kAvx512;
  if (hasAvx2() && (any || strcmp(name, kAvx2.name) == 0)) return &kAvx2;
#elif defined(A3B_ARM64)
  if (hasNeon() && (any || strcmp(name, kNeon.name) == 0)) return &kNeon;
#endif
  return any || strcmp(name, kScalar.name) == 0 ? &kScalar : nullptr;
}

const char* kernelNames() {
#ifdef A3B_X86
  if (hasAmx()) return "amx avx512 avx2 scalar";
  if (hasAvx512()) return "avx512 avx2 scalar";
  if (hasAvx2()) return "avx2 scalar";
#elif defined(A3B_ARM64)
  if (hasNeon()) return "neon scalar";
#endif
  return "scalar";
}

bool hasBfloatProducts() {
#ifdef A3B_X86
  return hasAvx512Bf16();
#else
  return false;
#endif
}
