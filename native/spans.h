// How an attention row is cut into spans of pages, each read by itself before they are joined, and what a span needs.
#pragma once
#include <cstdint>
#include "kernels.h"

namespace {

inline int ceilDiv(int a, int b) { return (a + b - 1) / b; }
inline int64_t alignUp(int64_t n) { return (n + 63) / 64 * 64; }

constexpr int kSpanPages = 16, kSpanTokens = kSpanPages * kPageTokens;

inline int64_t queryBytes(int group, int headDim) { return alignUp(2LL * group * headDim * 4); }
inline int64_t gatheredBytes(int group, int headDim) { return alignUp(sizeof(Gathered)) + queryBytes(group, headDim); }

// Estimates of coded pages, for one key/value head: masses, then tops.
inline int64_t massBytes(int pages, int group) { return alignUp(static_cast<int64_t>(pages) * group * kPageBlocks * 4); }
inline int64_t estimateBytes(int pages, int group) { return massBytes(pages, group) + alignUp(static_cast<int64_t>(pages) * group * 4); }

}  // namespace
