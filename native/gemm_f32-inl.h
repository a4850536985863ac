// Factors as they are, for gemm-inl.h: one value in a word.
#pragma once
#include "gemm.h"

namespace {

constexpr int kPerWord = 1;

inline VF multiplyAdd(VF left, VF right, VF sum) { return fma(left, right, sum); }

// One panel of `width` lines, `count` of them there, `depth` deep.
template <int width> inline void packPanel(const float* from, int64_t line, int64_t step, int count, int depth, float scale, float* out) {
  int k = 0;
  if (line == 1 && count == width)
    for (; k < depth; k++) copyScaled<width>(from + k * step, scale, out + k * width);
  if (step == 1 && count == width && width % 8 == 0)
    for (; k + 8 <= depth; k += 8)
      for (int i = 0; i < width; i += 8) transpose8(from + i * line + k, line, scale, out + k * width + i, width);
  for (; k < depth; k++)
    for (int i = 0; i < width; i++) out[k * width + i] = i < count ? from[i * line + k * step] * scale : 0.0f;
}

}  // namespace
