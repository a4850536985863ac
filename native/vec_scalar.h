// Sixteen lanes in plain C++: the specification of the other sets, and what runs where no other set can.
#pragma once
#include <cmath>
#include <cstdint>
#include "format.h"

namespace {

struct VF { float v[16]; };
struct VI { int32_t v[16]; };
struct VB { uint8_t v[64]; };

constexpr int kStreamTokens = 1, kTilePanels = 1, kTileTokens = 1;

template <class F> inline VF lanes(F f) {
  VF r;
  for (int i = 0; i < 16; i++) r.v[i] = f(i);
  return r;
}
template <class F> inline VI intLanes(F f) {
  VI r;
  for (int i = 0; i < 16; i++) r.v[i] = f(i);
  return r;
}
template <class F> inline VB byteLanes(F f) {
  VB r;
  for (int i = 0; i < 64; i++) r.v[i] = static_cast<uint8_t>(f(i));
  return r;
}

inline VF zero() { return {}; }
inline VF set1(float x) { return lanes([&](int) { return x; }); }
inline VF load(const float* p) { return lanes([&](int i) { return p[i]; }); }
inline void store(float* p, const VF& v) { memcpy(p, v.v, 64); }
inline VF add(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] + b.v[i]; }); }
inline VF sub(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] - b.v[i]; }); }
inline VF mul(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] * b.v[i]; }); }
inline VF div(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] / b.v[i]; }); }
inline VF maxOf(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; }); }
inline VF minOf(const VF& a, const VF& b) { return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; }); }
inline VF abs(const VF& a) { return lanes([&](int i) { return bitsToFloat(floatToBits(a.v[i]) & 0x7fffffff); }); }
inline VF fma(const VF& a, const VF& b, const VF& c) { return lanes([&](int i) { return fmaf(a.v[i], b.v[i], c.v[i]); }); }
inline VF fnma(const VF& a, const VF& b, const VF& c) { return lanes([&](int i) { return fmaf(-a.v[i], b.v[i], c.v[i]); }); }

inline float sumLanes(VF v) {
  for (int width = 8; width >= 1; width /= 2)
    for (int i = 0; i < width; i++) v.v[i] += v.v[i + width];
  return v.v[0];
}
inline float maxLanes(const VF& v) {
  float m = v.v[0];
  for (int i = 1; i < 16; i++) m = v.v[i] > m ? v.v[i] : m;
  return m;
}
inline void sumLanes16(const VF* v, float* out) {
  for (int i = 0; i < 16; i++) out[i] = sumLanes(v[i]);
}
inline void maxLanes16(const VF* v, float* out) {
  for (int i = 0; i < 16; i++) out[i] = maxLanes(v[i]);
}

inline VF halfsAt(const uint8_t* p) { return lanes([&](int i) { return halfToFloat(readU16(p + 2 * i)); }); }
inline VF loadHalf(const uint16_t* p) { return lanes([&](int i) { return halfToFloat(p[i]); }); }
inline void storeHalf16(uint16_t* p, const VF& v) {
  for (int i = 0; i < 16; i++) p[i] = floatToHalf(v.v[i]);
}
inline VF loadBf16(const uint16_t* p) { return lanes([&](int i) { return bitsToFloat(static_cast<uint32_t>(p[i]) << 16); }); }

inline VI zeroInt() { return {}; }
inline VI set1Int(int32_t x) { return intLanes([&](int) { return x; }); }
inline VI loadUnsigned(const uint8_t* p) { return intLanes([&](int i) { return p[i]; }); }
inline VI loadSigned(const uint8_t* p) { return intLanes([&](int i) { return static_cast<int8_t>(p[i]); }); }
inline VI loadInt(const int32_t* p) { return intLanes([&](int i) { return p[i]; }); }
inline void storeInt(int32_t* p, const VI& v) { memcpy(p, v.v, 64); }
inline VF toFloat(const VI& v) { return lanes([&](int i) { return static_cast<float>(v.v[i]); }); }
inline VI toInt(const VF& v) { return intLanes([&](int i) { return static_cast<int32_t>(nearbyintf(v.v[i])); }); }
inline VI addInt(const VI& a, const VI& b) { return intLanes([&](int i) { return a.v[i] + b.v[i]; }); }
inline VI subInt(const VI& a, const VI& b) { return intLanes([&](int i) { return a.v[i] - b.v[i]; }); }
inline VI andInt(const VI& v, int mask) { return intLanes([&](int i) { return v.v[i] & mask; }); }
inline VI shiftRight(const VI& v, int bits) { return intLanes([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(v.v[i]) >> bits); }); }
// The two lowest bits of `upper` as bits 4 and 5.
inline VI withUpperBits(const VI& v, const VI& upper) { return intLanes([&](int i) { return v.v[i] | (upper.v[i] & 3) << 4; }); }
inline VI orInt(const VI& a, const VI& b) { return intLanes([&](int i) { return a.v[i] | b.v[i]; }); }
// Bits of `a` where the mask has ones, of `b` elsewhere.
template <int mask> inline VI pick(const VI& a, const VI& b) { return intLanes([&](int i) { return (a.v[i] & mask) | (b.v[i] & ~mask); }); }
inline int32_t sumLanesInt(const VI& v) {
  int32_t sum = 0;
  for (const int32_t lane : v.v) sum += lane;
  return sum;
}
template <int bits> inline VI upBy(const VI& v) { return intLanes([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(v.v[i]) << bits); }); }
template <int bits> inline VI downBy(const VI& v) { return shiftRight(v, bits); }
inline VF pow2(const VI& n) { return lanes([&](int i) { return bitsToFloat(static_cast<uint32_t>(n.v[i] + 127) << 23); }); }
inline VF bitsAsFloats(const VI& n) { return lanes([&](int i) { return bitsToFloat(static_cast<uint32_t>(n.v[i])); }); }
// Sixteen values from -128 to 127 as bytes.
inline void storeBytes(int8_t* p, const VI& v) {
  for (int i = 0; i < 16; i++) p[i] = static_cast<int8_t>(v.v[i]);
}
// Sixteen values of 16 bits, of each four the second and third in each other's place.
inline void storePairs(int16_t* p, const VI& v) {
  for (int i = 0; i < 16; i++) p[i % 4 == 1 ? i + 1 : i % 4 == 2 ? i - 1 : i] = static_cast<int16_t>(v.v[i]);
}
// Two of them, the same in every lane.
inline VI twoShorts(const int16_t* p) {
  int32_t word;
  memcpy(&word, p, 4);
  return set1Int(word);
}

inline VB loadBytes(const void* p) {
  VB r;
  memcpy(r.v, p, 64);
  return r;
}
// Four bytes, the same in every lane.
inline VB fourBytes(const int8_t* p) { return byteLanes([&](int i) { return p[i % 4]; }); }
inline VB ones() { return byteLanes([](int) { return 1; }); }
inline VB lowNibbles(const VB& b) { return byteLanes([&](int i) { return b.v[i] & 15; }); }
inline VB highNibbles(const VB& b) { return byteLanes([&](int i) { return b.v[i] >> 4; }); }
// Sets bit `bit`, which is clear, in each byte whose bit of the 64-bit mask is set.
template <int bit> inline VB withBit(const VB& b, const uint8_t* mask) {
  return byteLanes([&](int i) { return b.v[i] | ((mask[i >> 3] >> (i & 7)) & 1) << bit; });
}
// Bits `bit`, `bit` + 1 of each byte, as 0 to 3.
template <int bit> inline VB pairAt(const VB& b) { return byteLanes([&](int i) { return (b.v[i] >> bit) & 3; }); }
inline VI asInts(const VB& b) {
  VI r;
  memcpy(r.v, b.v, 64);
  return r;
}
template <int shift> inline VB withUpper(const VB& b, const VB& plane) {
  return byteLanes([&](int i) { return b.v[i] | ((plane.v[i] >> shift) & 3) << 4; });
}

inline VI dot(const VI& acc, const VB& w, const VB& x) {
  return intLanes([&](int i) {
    int32_t s = acc.v[i];
    for (int j = 4 * i; j < 4 * i + 4; j++) s += w.v[j] * static_cast<int8_t>(x.v[j]);
    return s;
  });
}
// Each lane: acc + the products of both halves, signed.
inline VI dotPairs(const VI& acc, const VI& a, const VI& b) {
  return intLanes([&](int i) { return acc.v[i] + static_cast<int16_t>(a.v[i]) * static_cast<int16_t>(b.v[i]) + (a.v[i] >> 16) * (b.v[i] >> 16); });
}
inline VI signedStart(int32_t) { return {}; }
inline VI dotSigned(const VI& acc, const VB& w, const VB& x) {
  return intLanes([&](int i) {
    int32_t s = acc.v[i];
    for (int j = 4 * i; j < 4 * i + 4; j++) s += static_cast<int8_t>(w.v[j]) * static_cast<int8_t>(x.v[j]);
    return s;
  });
}

inline void prefetch(const void*) {}
inline void prefetchFar(const void*) {}

}  // namespace
