// What this machine gives at the most, measured on the engine's own threads: bytes read, products in registers, cycles.
#include <algorithm>
#include <chrono>
#include <cstring>
#include "engine.h"

template <class Fn> static double secondsOf(Fn fn) {
  const auto begin = std::chrono::steady_clock::now();
  fn();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double Engine::readBandwidth() {
  constexpr int64_t bytes = int64_t{2} << 30, slice = 1 << 20;
  Memory memory;
  if (!memory.allocate(bytes)) return 0;
  const int slices = static_cast<int>(bytes / slice);
  // Values that no two pages share: a host may keep one copy of equal pages, which would then be read from its cache.
  pool.run(slices, 16, [&](int first, int last, int) {
    uint64_t value = static_cast<uint64_t>(first) + 1;
    for (int64_t at = first * slice; at < last * slice; at += 8) {
      value = value * 6364136223846793005u + 1442695040888963407u;
      memcpy(memory.data() + at, &value, 8);
    }
  });
  double best = 0;
  std::atomic<uint64_t> sink{0};  // keeps the reads from being removed
  for (int round = 0; round < 5; round++) {
    const double seconds = secondsOf([&] {
      pool.run(pool.threads(), 1, [&](int first, int last, int) {
        const int64_t each = bytes / pool.threads() / slice * slice;
        for (int t = first; t < last; t++) sink += kernels->readAll(memory.data() + t * each, each);
      });
    });
    best = std::max(best, static_cast<double>(bytes / pool.threads() / slice * slice * pool.threads()) / seconds);
  }
  return best;
}

double Engine::peak(Peak what) {
  constexpr double shortest = 0.02;
  const int threads = pool.threads();
  std::vector<float> sinks(static_cast<size_t>(threads));
  volatile uint8_t seed = 1;
  double best = 0;
  int64_t rounds = 1 << 16;
  for (int round = 0; round < 5;) {
    std::atomic<int64_t> products{0};
    const double seconds = secondsOf([&] {
      pool.run(threads, 1, [&](int first, int last, int) {
        for (int t = first; t < last; t++) products += kernels->peak(what, rounds, seed, &sinks[t]) * rounds;
      });
    });
    if (seconds < shortest) rounds *= 2;
    else best = std::max(best, static_cast<double>(products) / seconds), round++;
  }
  return best;
}

double Engine::clock() {
  constexpr int64_t additions = 1 << 26;
  double best = 0;
  for (int round = 0; round < 5; round++) {
    uint64_t sum = 0;
    const double seconds = secondsOf([&] {
      for (int64_t i = 0; i < additions; i += 16)
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
          sum += static_cast<uint64_t>(i);
          asm volatile("" : "+r"(sum));  // each addition waits for the one before
        }
    });
    best = std::max(best, static_cast<double>(additions) / seconds);
  }
  return best;
}
