// The online softmax of attention, page by page, over the sixteen lanes of a vec_*.h that the including file has chosen.
#pragma once
#include "exponential-inl.h"
#include "kernels.h"
#include "kv-inl.h"

namespace {

// Keys from `count` on are beyond the context.
inline void maskScores(float* scores, int group, int count) {
  for (int g = 0; g < group; g++)
    for (int t = count; t < kPageTokens; t++) scores[g * kPageTokens + t] = kMasked;
}

// Scores of one page, [group][kPageTokens], become weights relative to the largest so far, as what was gathered before
// does (Milakov and Gimelshein 2018). meanwhile(g) is done beside those of head g.
template <class Meanwhile> [[gnu::always_inline]] inline void weighScores(float* scores, int group, int headDim, int count, Gathered* out, Meanwhile meanwhile) {
  for (int g = 0; g < group; g++) {
    meanwhile(g);
    float* s = scores + g * kPageTokens;
    VF m = set1(out->largest[g]);
    for (int t = 0; t < kPageTokens; t += 16) m = maxOf(m, load(s + t));
    const float next = maxLanes(m);
    for (int t = 0; t < kPageTokens; t += 16) store(s + t, exponential(sub(load(s + t), set1(next))));
    // A masked score weighs nothing at all, not the smallest exponential.
    for (int t = count; t < kPageTokens; t++) s[t] = 0;
    VF sum = zero();
    for (int t = 0; t < kPageTokens; t += 16) sum = add(sum, load(s + t));
    if (next == out->largest[g]) {  // nothing shrinks
      out->total[g] += sumLanes(sum);
      continue;
    }
    float shrink[16];
    store(shrink, exponential(set1(out->largest[g] - next)));
    out->total[g] = out->total[g] * shrink[0] + sumLanes(sum);
    out->largest[g] = next;
    for (int part = 0; part < 2; part++)
      for (int i = 0; i < headDim; i += 16) {
        float* sums = out->sums + (part * group + g) * headDim + i;
        store(sums, mul(load(sums), set1(shrink[0])));
      }
  }
}
[[gnu::always_inline]] inline void weighScores(float* scores, int group, int headDim, int count, Gathered* out) {
  weighScores(scores, group, headDim, count, out, [](int) {});
}

}  // namespace
