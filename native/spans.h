// How an attention row is cut into spans of pages, each read by itself before they are joined, and what a span needs.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include "kernels.h"

namespace {

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }
inline int64_t alignUp(int64_t n) { return (n + 63) / 64 * 64; }

constexpr int kSpanPages = 16, kSpanTokens = kSpanPages * kPageTokens;
constexpr int kMostPages = 4 * kSpanPages;  // that one call of a kernel is given

inline int64_t queryBytes(int group, int headDim) { return alignUp(2LL * group * headDim * 4); }
inline int64_t gatheredBytes(int group, int headDim) { return alignUp(sizeof(Gathered)) + queryBytes(group, headDim); }

// A Gathered at the beginning of memory, its sums behind it.
inline Gathered* placed(uint8_t* memory) {
  auto* gathered = reinterpret_cast<Gathered*>(memory);
  gathered->sums = reinterpret_cast<float*>(memory + alignUp(sizeof(Gathered)));
  return gathered;
}

inline float queryScale(int headDim) { return 1.0f / std::sqrt(static_cast<float>(headDim)); }

// A row's queries [group][headDim], scaled; where it reads codes, rotated ones behind them.
inline void scaleQueries(const Kernels& k, const float* from, int group, int headDim, bool coded, float* q) {
  const int width = group * headDim;
  const float scale = queryScale(headDim);
  for (int i = 0; i < width; i++) q[i] = from[i] * scale;
  if (!coded) return;
  memcpy(q + width, q, static_cast<size_t>(width) * 4);
  for (int i = 0; i < width; i += headDim) k.rotate(q + width + i, headDim);
}

// Estimates of coded pages, for one key/value head: masses, then tops.
inline int64_t massBytes(int pages, int group) { return alignUp(static_cast<int64_t>(pages) * group * kPageBlocks * 4); }
inline int64_t estimateBytes(int pages, int group) { return massBytes(pages, group) + alignUp(static_cast<int64_t>(pages) * group * 4); }

}  // namespace
