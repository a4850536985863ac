// Sixteen lanes as two 256-bit registers, AVX2 with FMA and F16C.
#pragma once
#include <immintrin.h>
#include <cstdint>

namespace {

struct VF { __m256 a, b; };   // lanes 0-7, 8-15
struct VI { __m256i a, b; };
struct VB { __m256i a, b; };  // bytes 0-31, 32-63

// What 16 registers hold, nearly.
constexpr int kStreamTokens = 4, kTilePanels = 1, kTileTokens = 4;

inline VF zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline VF set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline VF load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, VF v) { _mm256_storeu_ps(p, v.a), _mm256_storeu_ps(p + 8, v.b); }
inline VF add(VF x, VF y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline VF sub(VF x, VF y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline VF mul(VF x, VF y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline VF div(VF x, VF y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline VF maxOf(VF x, VF y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline VF minOf(VF x, VF y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline VF abs(VF x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}
inline VF fma(VF x, VF y, VF z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline VF fnma(VF x, VF y, VF z) { return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)}; }

// Fold by 8, 4, 2, 1 lanes.
inline float sumLanes(VF v) {
  const __m256 a = _mm256_add_ps(v.a, v.b);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
inline float maxLanes(VF v) {
  const __m256 a = _mm256_max_ps(v.a, v.b);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}
inline void sumLanes16(const VF* v, float* out) {
  for (int i = 0; i < 16; i++) out[i] = sumLanes(v[i]);
}
inline void maxLanes16(const VF* v, float* out) {
  for (int i = 0; i < 16; i++) out[i] = maxLanes(v[i]);
}

inline __m256 half8(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline VF loadHalf(const uint16_t* p) { return {half8(p), half8(p + 8)}; }
inline VF halfsAt(const uint8_t* p) { return loadHalf(reinterpret_cast<const uint16_t*>(p)); }
inline void storeHalf16(uint16_t* p, VF v) {
  constexpr int rounding = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, rounding));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.b, rounding));
}
inline __m256 bf8(const uint16_t* p) {
  const __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
inline VF loadBf16(const uint16_t* p) { return {bf8(p), bf8(p + 8)}; }

inline VI zeroInt() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline const __m256i* wide(const void* p) { return static_cast<const __m256i*>(p); }
inline VI set1Int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline VI loadInt(const int32_t* p) { return {_mm256_loadu_si256(wide(p)), _mm256_loadu_si256(wide(p + 8))}; }
// Sixteen bytes.
inline __m128i eight(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
inline VI loadUnsigned(const uint8_t* p) { return {_mm256_cvtepu8_epi32(eight(p)), _mm256_cvtepu8_epi32(eight(p + 8))}; }
inline VI loadSigned(const uint8_t* p) { return {_mm256_cvtepi8_epi32(eight(p)), _mm256_cvtepi8_epi32(eight(p + 8))}; }
inline void storeInt(int32_t* p, VI v) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(p), v.a);
  _mm256_store_si256(reinterpret_cast<__m256i*>(p + 8), v.b);
}
inline VF toFloat(VI v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
inline VI toInt(VF v) { return {_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)}; }
inline VI addInt(VI x, VI y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline VI subInt(VI x, VI y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
inline VI andInt(VI v, int mask) { return {_mm256_and_si256(v.a, _mm256_set1_epi32(mask)), _mm256_and_si256(v.b, _mm256_set1_epi32(mask))}; }
inline VI shiftRight(VI v, int bits) {
  const __m128i count = _mm_cvtsi32_si128(bits);
  return {_mm256_srl_epi32(v.a, count), _mm256_srl_epi32(v.b, count)};
}
// The two lowest bits of `upper` as bits 4 and 5.
inline VI withUpperBits(VI v, VI upper) {
  const VI two = andInt(upper, 3);
  return {_mm256_or_si256(v.a, _mm256_slli_epi32(two.a, 4)), _mm256_or_si256(v.b, _mm256_slli_epi32(two.b, 4))};
}
inline VI orInt(VI x, VI y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
// Bits of `a` where the mask has ones, of `b` elsewhere.
template <int mask> inline VI pick(VI x, VI y) { return orInt(andInt(x, mask), andInt(y, ~mask)); }
inline int32_t sumLanesInt(VI v) {
  const __m256i eight = _mm256_add_epi32(v.a, v.b);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
template <int bits> inline VI upBy(VI v) { return {_mm256_slli_epi32(v.a, bits), _mm256_slli_epi32(v.b, bits)}; }
template <int bits> inline VI downBy(VI v) { return {_mm256_srli_epi32(v.a, bits), _mm256_srli_epi32(v.b, bits)}; }
inline __m256 pow2of8(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
inline VF pow2(VI n) { return {pow2of8(n.a), pow2of8(n.b)}; }
inline VF bitsAsFloats(VI v) { return {_mm256_castsi256_ps(v.a), _mm256_castsi256_ps(v.b)}; }
// Sixteen values from -128 to 127 as bytes.
inline void storeBytes(int8_t* p, VI v) {
  const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.a, v.b), 0xd8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
// Sixteen values of 16 bits, of each four the second and third in each other's place.
inline void storePairs(int16_t* p, VI v) {
  const __m256i packed = _mm256_packs_epi32(_mm256_shuffle_epi32(v.a, 0xd8), _mm256_shuffle_epi32(v.b, 0xd8));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
// Two of them, the same in every lane.
inline VI twoShorts(const int16_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return set1Int(word);
}

inline VB loadBytes(const void* p) { return {_mm256_loadu_si256(wide(p)), _mm256_loadu_si256(wide(p) + 1)}; }
// Four bytes, the same in every lane.
inline VB fourBytes(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return {_mm256_set1_epi32(word), _mm256_set1_epi32(word)};
}
inline VB ones() { return {_mm256_set1_epi8(1), _mm256_set1_epi8(1)}; }
inline VB lowNibbles(VB v) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(v.a, mask), _mm256_and_si256(v.b, mask)};
}
inline VB highNibbles(VB v) { return lowNibbles({_mm256_srli_epi16(v.a, 4), _mm256_srli_epi16(v.b, 4)}); }
// Bit `bit` in each byte whose bit is set in the 32-bit mask.
template <int bit> inline __m256i bit32(const uint8_t* mask) {
  int bits;
  __builtin_memcpy(&bits, mask, 4);
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i own = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own), _mm256_set1_epi8(static_cast<char>(1 << bit)));
}
template <int bit> inline VB withBit(VB v, const uint8_t* mask) {
  return {_mm256_or_si256(v.a, bit32<bit>(mask)), _mm256_or_si256(v.b, bit32<bit>(mask + 4))};
}
// Bits `bit`, `bit` + 1 of each byte, as 0 to 3.
template <int bit> inline VB pairAt(VB v) {
  const __m256i mask = _mm256_set1_epi8(3);
  return {_mm256_and_si256(_mm256_srli_epi16(v.a, bit), mask), _mm256_and_si256(_mm256_srli_epi16(v.b, bit), mask)};
}
inline VI asInts(VB v) { return {v.a, v.b}; }
template <int shift> inline __m256i upper32(__m256i plane) {
  const __m256i moved = shift < 4 ? _mm256_slli_epi16(plane, shift < 4 ? 4 - shift : 0) : _mm256_srli_epi16(plane, shift >= 4 ? shift - 4 : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
}
template <int shift> inline VB withUpper(VB v, VB plane) {
  return {_mm256_or_si256(v.a, upper32<shift>(plane.a)), _mm256_or_si256(v.b, upper32<shift>(plane.b))};
}

// Weights up to 63: a pair's sum stays below the 16-bit saturation of maddubs.
inline __m256i dot8(__m256i acc, __m256i w, __m256i x) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}
inline VI dot(VI acc, VB w, VB x) { return {dot8(acc.a, w.a, x.a), dot8(acc.b, w.b, x.b)}; }
// Each lane: acc + the products of both halves, signed.
inline VI dotPairs(VI acc, VI x, VI y) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(x.a, y.a)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(x.b, y.b))};
}
// |w| <= 128 and |x| <= 127, so a pair's sum is at most 32,512: no saturation either.
inline VI signedStart(int32_t) { return zeroInt(); }
inline VI dotSigned(VI acc, VB w, VB x) {
  return {dot8(acc.a, _mm256_abs_epi8(w.a), _mm256_sign_epi8(x.a, w.a)),
          dot8(acc.b, _mm256_abs_epi8(w.b), _mm256_sign_epi8(x.b, w.b))};
}

// Written out: GCC takes functions that do nothing else for functions that do nothing, and drops their calls.
inline void prefetch(const void* p) { asm volatile("prefetcht0 %0" ::"m"(*static_cast<const char*>(p))); }
inline void prefetchFar(const void* p) { asm volatile("prefetcht1 %0" ::"m"(*static_cast<const char*>(p))); }

}  // namespace
