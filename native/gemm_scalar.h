// What packing needs, in plain C++.
#pragma once
#include <cstdint>

namespace {

template <int width> inline void copyScaled(const float* in, float scale, float* out) {
  for (int i = 0; i < width; i++) out[i] = in[i] * scale;
}

inline void transpose8(const float* in, int64_t line, float scale, float* out, int64_t step) {
  for (int k = 0; k < 8; k++)
    for (int i = 0; i < 8; i++) out[k * step + i] = in[i * line + k] * scale;
}

}  // namespace
