// Factors rounded to bfloat16, to nearest even, for gemm-inl.h: the values of two successive depths in a word, the lower
// one first, as VDPBF16PS takes them. Denormals become zero.
#pragma once
#include "gemm.h"
#include "gemm_x86.h"

namespace {

constexpr int kPerWord = 2;

// sum + the products of both pairs, in float32
inline VF multiplyAdd(VF left, VF right, VF sum) {
  return _mm512_dpbf16_ps(sum, __builtin_bit_cast(__m512bh, left), __builtin_bit_cast(__m512bh, right));
}

// Word i takes the halves i and i + 16.
inline __m512i zipOrder() {
  return _mm512_add_epi32(_mm512_set1_epi32(16 << 16), _mm512_mullo_epi32(_mm512_set1_epi32(0x10001),
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}
inline VF zipped(VF low, VF high) {
  return __builtin_bit_cast(VF, _mm512_permutexvar_epi16(zipOrder(), __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(high, low))));
}

// Two rows of the same columns become one of words.
template <int width> inline void zipRows(const float* low, const float* high, float scale, float* out) {
  if constexpr (width % 16 == 0) {
    const VF s = set1(scale);
    for (int i = 0; i < width; i += 16) store(out + i, zipped(mul(load(low + i), s), mul(load(high + i), s)));
  } else {
    const __m256 s = _mm256_set1_ps(scale);
    const __m256i half = _mm256_sub_epi32(_mm512_castsi512_si256(zipOrder()), _mm256_set1_epi32(8 << 16));  // i + 8
    for (int i = 0; i < width; i += 8) {
      const __m256bh both = _mm256_cvtne2ps_pbh(_mm256_mul_ps(_mm256_loadu_ps(high + i), s), _mm256_mul_ps(_mm256_loadu_ps(low + i), s));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_permutexvar_epi16(half, __builtin_bit_cast(__m256i, both)));
    }
  }
}

// Eight lines of sixteen values become eight columns of words.
inline void transposePairs(const float* in, int64_t line, float scale, float* out, int64_t step) {
  __m256 lines[8];
  for (int i = 0; i < 8; i++) lines[i] = __builtin_bit_cast(__m256, _mm512_cvtneps_pbh(mul(load(in + i * line), set1(scale))));
  transposeWords(lines, out, step);
}

inline void storePair(float low, float high, float* out) {
  const __m128bh both = _mm_cvtneps_pbh(_mm_setr_ps(low, high, 0, 0));
  _mm_store_ss(out, __builtin_bit_cast(__m128, both));
}

// One panel of `width` lines, `count` of them there, `depth` deep.
template <int width> inline void packPanel(const float* from, int64_t line, int64_t step, int count, int depth, float scale, float* out) {
  int k = 0;
  if (line == 1 && count == width)
    for (; k + 2 <= depth; k += 2, out += width) zipRows<width>(from + k * step, from + (k + 1) * step, scale, out);
  if (step == 1 && count == width)
    for (; k + 16 <= depth; k += 16, out += 8 * width)
      for (int i = 0; i < width; i += 8) transposePairs(from + i * line + k, line, scale, out + i, width);
  auto value = [&](int i, int at) { return i < count && at < depth ? from[i * line + at * step] * scale : 0.0f; };
  for (; k < depth; k += 2, out += width)
    for (int i = 0; i < width; i++) storePair(value(i, k), value(i, k + 1), out + i);
}

}  // namespace
