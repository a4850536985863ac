// Sixteen lanes as four 128-bit registers, arm64 NEON with the dot product.
#pragma once
#include <arm_neon.h>
#include <cstdint>

namespace {

struct VF { float32x4_t v[4]; };  // lanes 0-3, 4-7, 8-11, 12-15
struct VI { int32x4_t v[4]; };
struct VB { uint8x16_t v[4]; };   // bytes 0-15, 16-31, 32-47, 48-63

// Integer and float sums of two tokens are half of the registers.
constexpr int kStreamTokens = 2, kTilePanels = 1, kTileTokens = 2;

template <class V, class F> inline V quarters(F f) { return {{f(0), f(1), f(2), f(3)}}; }

inline VF set1(float x) { return quarters<VF>([&](int) { return vdupq_n_f32(x); }); }
inline VF zero() { return set1(0.0f); }
inline VF load(const float* p) { return quarters<VF>([&](int i) { return vld1q_f32(p + 4 * i); }); }
inline void store(float* p, VF x) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.v[i]);
}
inline VF add(VF x, VF y) { return quarters<VF>([&](int i) { return vaddq_f32(x.v[i], y.v[i]); }); }
inline VF sub(VF x, VF y) { return quarters<VF>([&](int i) { return vsubq_f32(x.v[i], y.v[i]); }); }
inline VF mul(VF x, VF y) { return quarters<VF>([&](int i) { return vmulq_f32(x.v[i], y.v[i]); }); }
inline VF div(VF x, VF y) { return quarters<VF>([&](int i) { return vdivq_f32(x.v[i], y.v[i]); }); }
// A comparison and a choice: NEON's own maximum keeps a NaN where the other sets drop it.
inline float32x4_t larger(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
inline VF maxOf(VF x, VF y) { return quarters<VF>([&](int i) { return larger(x.v[i], y.v[i]); }); }
inline VF minOf(VF x, VF y) { return quarters<VF>([&](int i) { return vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); }); }
inline VF abs(VF x) { return quarters<VF>([&](int i) { return vabsq_f32(x.v[i]); }); }
inline VF fma(VF x, VF y, VF z) { return quarters<VF>([&](int i) { return vfmaq_f32(z.v[i], x.v[i], y.v[i]); }); }
inline VF fnma(VF x, VF y, VF z) { return quarters<VF>([&](int i) { return vfmsq_f32(z.v[i], x.v[i], y.v[i]); }); }

// Fold by 8, 4, 2, 1 lanes.
inline float32x4_t sumQuarters(VF x) { return vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3])); }
inline float sumLanes(VF x) {
  const float32x4_t a = sumQuarters(x);
  return vpadds_f32(vadd_f32(vget_low_f32(a), vget_high_f32(a)));
}
inline float maxLanes(VF x) {
  const float32x4_t a = larger(larger(x.v[0], x.v[2]), larger(x.v[1], x.v[3]));
  const float32x4_t b = larger(a, vextq_f32(a, a, 2));
  return vgetq_lane_f32(larger(b, vextq_f32(b, b, 1)), 0);
}

// sumLanes of 16 vectors, four at once, in the same order of additions.
inline float32x4_t sumHalves(float32x4_t x, float32x4_t y) {  // [x folded to 2 | y folded to 2]
  const float64x2_t a = vreinterpretq_f64_f32(x), b = vreinterpretq_f64_f32(y);
  return vaddq_f32(vreinterpretq_f32_f64(vtrn1q_f64(a, b)), vreinterpretq_f32_f64(vtrn2q_f64(a, b)));
}
inline void sumLanes16(const VF* x, float* out) {
  for (int i = 0; i < 16; i += 4) {
    const float32x4_t low = sumHalves(sumQuarters(x[i]), sumQuarters(x[i + 1]));
    const float32x4_t high = sumHalves(sumQuarters(x[i + 2]), sumQuarters(x[i + 3]));
    vst1q_f32(out + i, vpaddq_f32(low, high));
  }
}
inline void maxLanes16(const VF* v, float* out) {
  for (int i = 0; i < 16; i++) out[i] = maxLanes(v[i]);
}

inline float32x4_t half4(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
inline VF loadHalf(const uint16_t* p) { return quarters<VF>([&](int i) { return half4(vld1_u16(p + 4 * i)); }); }
inline VF halfsAt(const uint8_t* p) { return loadHalf(reinterpret_cast<const uint16_t*>(p)); }
inline void storeHalf16(uint16_t* p, VF x) {
  for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i])));
}
inline VF loadBf16(const uint16_t* p) { return quarters<VF>([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); }); }

inline VI zeroInt() { return quarters<VI>([](int) { return vdupq_n_s32(0); }); }
inline VI set1Int(int32_t x) { return quarters<VI>([&](int) { return vdupq_n_s32(x); }); }
// Sixteen bytes.
inline VI loadUnsigned(const uint8_t* p) {
  const uint16x8_t low = vmovl_u8(vld1_u8(p)), high = vmovl_u8(vld1_u8(p + 8));
  auto wide = [](uint16x4_t x) { return vreinterpretq_s32_u32(vmovl_u16(x)); };
  return {{wide(vget_low_u16(low)), wide(vget_high_u16(low)), wide(vget_low_u16(high)), wide(vget_high_u16(high))}};
}
inline VI loadSigned(const uint8_t* p) {
  const int16x8_t low = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p))), high = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p + 8)));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}};
}
inline VI loadInt(const int32_t* p) { return quarters<VI>([&](int i) { return vld1q_s32(p + 4 * i); }); }
inline void storeInt(int32_t* p, VI x) {
  for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, x.v[i]);
}
inline VF toFloat(VI x) { return quarters<VF>([&](int i) { return vcvtq_f32_s32(x.v[i]); }); }
inline VI toInt(VF x) { return quarters<VI>([&](int i) { return vcvtnq_s32_f32(x.v[i]); }); }
inline VI addInt(VI x, VI y) { return quarters<VI>([&](int i) { return vaddq_s32(x.v[i], y.v[i]); }); }
inline VI subInt(VI x, VI y) { return quarters<VI>([&](int i) { return vsubq_s32(x.v[i], y.v[i]); }); }
inline VI andInt(VI x, int mask) { return quarters<VI>([&](int i) { return vandq_s32(x.v[i], vdupq_n_s32(mask)); }); }
inline VI shiftRight(VI x, int bits) {
  return quarters<VI>([&](int i) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x.v[i]), vdupq_n_s32(-bits))); });
}
// The two lowest bits of `upper` as bits 4 and 5.
inline VI withUpperBits(VI x, VI upper) {
  return quarters<VI>([&](int i) { return vorrq_s32(x.v[i], vshlq_n_s32(vandq_s32(upper.v[i], vdupq_n_s32(3)), 4)); });
}
inline VI orInt(VI x, VI y) { return quarters<VI>([&](int i) { return vorrq_s32(x.v[i], y.v[i]); }); }
// Bits of `x` where the mask has ones, of `y` elsewhere.
template <int mask> inline VI pick(VI x, VI y) {
  return quarters<VI>([&](int i) { return vbslq_s32(vdupq_n_u32(static_cast<uint32_t>(mask)), x.v[i], y.v[i]); });
}
inline int32_t sumLanesInt(VI x) { return vaddvq_s32(vaddq_s32(vaddq_s32(x.v[0], x.v[1]), vaddq_s32(x.v[2], x.v[3]))); }
template <int bits> inline VI upBy(VI x) { return quarters<VI>([&](int i) { return vshlq_n_s32(x.v[i], bits); }); }
template <int bits> inline VI downBy(VI x) { return shiftRight(x, bits); }
inline VF pow2(VI n) { return quarters<VF>([&](int i) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n.v[i], vdupq_n_s32(127)), 23)); }); }
inline VF bitsAsFloats(VI n) { return quarters<VF>([&](int i) { return vreinterpretq_f32_s32(n.v[i]); }); }
// Sixteen values from -128 to 127 as bytes.
inline void storeBytes(int8_t* p, VI x) {
  const int16x8_t low = vcombine_s16(vmovn_s32(x.v[0]), vmovn_s32(x.v[1])), high = vcombine_s16(vmovn_s32(x.v[2]), vmovn_s32(x.v[3]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
// Sixteen values of 16 bits, of each four the second and third in each other's place.
inline void storePairs(int16_t* p, VI x) {
  for (int i = 0; i < 4; i++) {
    const int16x4_t four = vmovn_s32(x.v[i]);
    vst1_s16(p + 4 * i, vreinterpret_s16_u8(vtbl1_u8(vreinterpret_u8_s16(four), vcreate_u8(0x0706030205040100))));
  }
}
// Two of them, the same in every lane.
inline VI twoShorts(const int16_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return set1Int(word);
}

inline VB loadBytes(const void* p) { return quarters<VB>([&](int i) { return vld1q_u8(static_cast<const uint8_t*>(p) + 16 * i); }); }
// Four bytes, the same in every lane.
inline VB fourBytes(const int8_t* p) {
  uint32_t word;
  __builtin_memcpy(&word, p, 4);
  return quarters<VB>([&](int) { return vreinterpretq_u8_u32(vdupq_n_u32(word)); });
}
inline VB ones() { return quarters<VB>([](int) { return vdupq_n_u8(1); }); }
inline VB lowNibbles(VB x) { return quarters<VB>([&](int i) { return vandq_u8(x.v[i], vdupq_n_u8(15)); }); }
inline VB highNibbles(VB x) { return quarters<VB>([&](int i) { return vshrq_n_u8(x.v[i], 4); }); }
// Sets bit `bit`, which is clear, in each byte whose bit of the 64-bit mask is set.
template <int bit> inline VB withBit(VB x, const uint8_t* mask) {
  const uint8x16_t each = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const uint8x16_t bytes = vcombine_u8(vld1_u8(mask), vdup_n_u8(0));
  return quarters<VB>([&](int i) {
    const auto from = static_cast<uint8_t>(2 * i);
    const uint8x16_t spread = vqtbl1q_u8(bytes, vcombine_u8(vdup_n_u8(from), vdup_n_u8(from + 1)));
    return vorrq_u8(x.v[i], vandq_u8(vtstq_u8(spread, each), vdupq_n_u8(1 << bit)));
  });
}
// Bits `bit`, `bit` + 1 of each byte, as 0 to 3.
template <int bit> inline VB pairAt(VB v) {
  return quarters<VB>([&](int i) { return vandq_u8(vshlq_u8(v.v[i], vdupq_n_s8(-bit)), vdupq_n_u8(3)); });
}
inline VI asInts(VB x) { return quarters<VI>([&](int i) { return vreinterpretq_s32_u8(x.v[i]); }); }
// Bits `shift`, `shift` + 1 of each byte of the plane, as bits 4 and 5.
template <int shift> inline VB withUpper(VB x, VB plane) {
  return quarters<VB>([&](int i) {
    const uint8x16_t moved = vshlq_u8(plane.v[i], vdupq_n_s8(4 - shift));
    return vorrq_u8(x.v[i], vandq_u8(moved, vdupq_n_u8(0x30)));
  });
}

// Weights below 128, so that the signed product serves unsigned ones too.
inline VI dot(VI acc, VB w, VB x) { return quarters<VI>([&](int i) { return vdotq_s32(acc.v[i], vreinterpretq_s8_u8(w.v[i]), vreinterpretq_s8_u8(x.v[i])); }); }
// Each lane: acc + the products of both halves, signed.
inline VI dotPairs(VI acc, VI x, VI y) {
  return quarters<VI>([&](int i) {
    const int16x8_t a = vreinterpretq_s16_s32(x.v[i]), b = vreinterpretq_s16_s32(y.v[i]);
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b)), high = vmull_high_s16(a, b);
    return vaddq_s32(acc.v[i], vpaddq_s32(low, high));
  });
}
inline VI signedStart(int32_t) { return zeroInt(); }
inline VI dotSigned(VI acc, VB w, VB x) { return dot(acc, w, x); }

// Written out: GCC takes functions that do nothing else for functions that do nothing, and drops their calls.
inline void prefetch(const void* p) { asm volatile("prfm pldl1keep, [%0]" ::"r"(p)); }
inline void prefetchFar(const void* p) { asm volatile("prfm pldl2keep, [%0]" ::"r"(p)); }

}  // namespace
