// Sixteen lanes on AVX-512 with VNNI.
#pragma once
#include <immintrin.h>
#include <cstdint>

namespace {

using VF = __m512;   // 16 floats
using VI = __m512i;  // 16 int32
using VB = __m512i;  // 64 bytes

// What 32 registers hold of integer and float sums beside the codes: of a stream's tokens; of some panels and tokens, which
// then share their loads.
constexpr int kStreamTokens = 12, kTilePanels = 2, kTileTokens = 6;

inline VF zero() { return _mm512_setzero_ps(); }
inline VF set1(float x) { return _mm512_set1_ps(x); }
inline VF load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, VF v) { _mm512_storeu_ps(p, v); }
inline VF add(VF a, VF b) { return _mm512_add_ps(a, b); }
inline VF sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
inline VF mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
inline VF div(VF a, VF b) { return _mm512_div_ps(a, b); }
inline VF maxOf(VF a, VF b) { return _mm512_max_ps(a, b); }
inline VF minOf(VF a, VF b) { return _mm512_min_ps(a, b); }
inline VF abs(VF a) { return _mm512_abs_ps(a); }
inline VF fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
inline VF fnma(VF a, VF b, VF c) { return _mm512_fnmadd_ps(a, b, c); }

// Fold by 8, 4, 2, 1 lanes.
inline float sumLanes(VF v) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
inline float maxLanes(VF v) { return _mm512_reduce_max_ps(v); }

// Of 16 vectors at once, each folded by 8, 4, 2, 1 lanes.
template <class Op> [[gnu::always_inline]] inline void foldLanes16(const VF* v, float* out, Op op) {
  VF a[8], b[4], c[2];
  for (int i = 0; i < 8; i++)  // [v(i) folded to 8 | v(i+8) folded to 8]
    a[i] = op(_mm512_shuffle_f32x4(v[i], v[i + 8], 0x44), _mm512_shuffle_f32x4(v[i], v[i + 8], 0xee));
  for (int i = 0; i < 4; i++)  // 128-bit lanes: i, i+8, i+4, i+12, folded to 4
    b[i] = op(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd));
  for (int i = 0; i < 2; i++)  // within a lane: first two folded of b(i), then of b(i+2)
    c[i] = op(_mm512_shuffle_ps(b[i], b[i + 2], 0x44), _mm512_shuffle_ps(b[i], b[i + 2], 0xee));
  const VF d = op(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xdd));
  // lane L, place p holds vector (p: 0, 2, 1, 3) + (L: 0, 8, 4, 12)
  const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
  _mm512_storeu_ps(out, _mm512_permutexvar_ps(order, d));
}
inline void sumLanes16(const VF* v, float* out) { foldLanes16(v, out, [](VF a, VF b) { return add(a, b); }); }
inline void maxLanes16(const VF* v, float* out) { foldLanes16(v, out, [](VF a, VF b) { return maxOf(a, b); }); }

inline VF loadHalf(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline VF halfsAt(const uint8_t* p) { return loadHalf(reinterpret_cast<const uint16_t*>(p)); }
inline void storeHalf16(uint16_t* p, VF v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline VF loadBf16(const uint16_t* p) {
  const __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}

inline VI zeroInt() { return _mm512_setzero_si512(); }
inline VI set1Int(int32_t x) { return _mm512_set1_epi32(x); }
inline VI loadInt(const int32_t* p) { return _mm512_loadu_si512(p); }
// Sixteen bytes.
inline VI loadUnsigned(const uint8_t* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline VI loadSigned(const uint8_t* p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline void storeInt(int32_t* p, VI v) { _mm512_store_si512(p, v); }
inline VF toFloat(VI v) { return _mm512_cvtepi32_ps(v); }
inline VI toInt(VF v) { return _mm512_cvtps_epi32(v); }
inline VI addInt(VI a, VI b) { return _mm512_add_epi32(a, b); }
inline VI subInt(VI a, VI b) { return _mm512_sub_epi32(a, b); }
inline VI andInt(VI v, int mask) { return _mm512_and_si512(v, _mm512_set1_epi32(mask)); }
inline VI shiftRight(VI v, int bits) { return _mm512_srl_epi32(v, _mm_cvtsi32_si128(bits)); }
// The two lowest bits of `upper` as bits 4 and 5.
inline VI withUpperBits(VI v, VI upper) { return _mm512_or_si512(v, _mm512_slli_epi32(andInt(upper, 3), 4)); }
inline VI orInt(VI a, VI b) { return _mm512_or_si512(a, b); }
// Bits of `a` where the mask has ones, of `b` elsewhere.
template <int mask> inline VI pick(VI a, VI b) { return _mm512_ternarylogic_epi32(_mm512_set1_epi32(mask), a, b, 0xca); }
inline int32_t sumLanesInt(VI v) { return _mm512_reduce_add_epi32(v); }
template <int bits> inline VI upBy(VI v) { return _mm512_slli_epi32(v, bits); }
template <int bits> inline VI downBy(VI v) { return _mm512_srli_epi32(v, bits); }
inline VF pow2(VI n) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23)); }
inline VF bitsAsFloats(VI v) { return _mm512_castsi512_ps(v); }
// Sixteen values from -128 to 127 as bytes.
inline void storeBytes(int8_t* p, VI v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v)); }
// Sixteen values of 16 bits, of each four the second and third in each other's place.
inline void storePairs(int16_t* p, VI v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_shuffle_epi32(v, _MM_PERM_DBCA)));
}
// Two of them, the same in every lane.
inline VI twoShorts(const int16_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}

inline VB loadBytes(const void* p) { return _mm512_loadu_si512(p); }
// Four bytes, the same in every lane.
inline VB fourBytes(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}
inline VB ones() { return _mm512_set1_epi8(1); }
inline VB lowNibbles(VB v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
inline VB highNibbles(VB v) { return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)); }
// Sets bit `bit`, which is clear, in each byte whose bit of the 64-bit mask is set.
template <int bit> inline VB withBit(VB v, const uint8_t* mask) {
  uint64_t bits;
  __builtin_memcpy(&bits, mask, 8);
  return _mm512_mask_add_epi8(v, bits, v, _mm512_set1_epi8(static_cast<char>(1 << bit)));
}
// Bits `bit`, `bit` + 1 of each byte, as 0 to 3.
template <int bit> inline VB pairAt(VB v) { return _mm512_and_si512(_mm512_srli_epi16(v, bit), _mm512_set1_epi8(3)); }
inline VI asInts(VB v) { return v; }
// Bits `shift`, `shift` + 1 of each byte of the plane, as bits 4 and 5.
template <int shift> inline VB withUpper(VB v, VB plane) {
  const VB moved = shift < 4 ? _mm512_slli_epi16(plane, shift < 4 ? 4 - shift : 0) : _mm512_srli_epi16(plane, shift >= 4 ? shift - 4 : 0);
  return _mm512_or_si512(v, _mm512_and_si512(moved, _mm512_set1_epi8(0x30)));
}

// Each lane: acc + the dot product of four unsigned weights with four signed activations, exact.
inline VI dot(VI acc, VB weights, VB x) { return _mm512_dpbusd_epi32(acc, weights, x); }
// Each lane: acc + the products of both halves, signed.
// Written out: of the intrinsic GCC makes a move of every sum to another register and back.
inline VI dotPairs(VI acc, VI a, VI b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "vm"(b));
  return acc;
}
// The same as `dot` for signed weights; acc starts from signedStart.
inline VI signedStart(int32_t start) { return set1Int(start); }
inline VI dotSigned(VI acc, VB weights, VB x) {
  return _mm512_dpbusd_epi32(acc, _mm512_xor_si512(weights, _mm512_set1_epi8(-128)), x);
}

// Written out: GCC takes functions that do nothing else for functions that do nothing, and drops their calls.
inline void prefetch(const void* p) { asm volatile("prefetcht0 %0" ::"m"(*static_cast<const char*>(p))); }
inline void prefetchFar(const void* p) { asm volatile("prefetcht1 %0" ::"m"(*static_cast<const char*>(p))); }

}  // namespace
