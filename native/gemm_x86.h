// What packing needs of 256-bit registers; both x86 sets have them.
#pragma once
#include <immintrin.h>
#include <cstdint>

namespace {

template <int width> inline void copyScaled(const float* in, float scale, float* out) {
  if constexpr (width % 8 == 0)
    for (int i = 0; i < width; i += 8) _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(in + i), _mm256_set1_ps(scale)));
  else
    for (int i = 0; i < width; i++) out[i] = in[i] * scale;
}

// Eight lines of eight words become eight columns; only moves bits.
inline void transposeWords(__m256* r, float* out, int64_t step) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 2) t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44), r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44), r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(out + i * step, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * step, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

inline void transpose8(const float* in, int64_t line, float scale, float* out, int64_t step) {
  __m256 lines[8];
  for (int i = 0; i < 8; i++) lines[i] = _mm256_mul_ps(_mm256_loadu_ps(in + i * line), _mm256_set1_ps(scale));
  transposeWords(lines, out, step);
}

}  // namespace
