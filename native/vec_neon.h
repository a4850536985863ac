// Sixteen lanes as four 128-bit registers, arm64 NEON with the dot product.
#pragma once
#include <arm_neon.h>
#include <cstdint>

namespace {

struct VF { float32x4_t v[4]; };  // lanes 0-3, 4-7, 8-11, 12-15
struct VI { int32x4_t v[4]; };
struct VB { uint8x16_t v[4]; };   // bytes 0-15, 16-31, 32-47, 48-63

constexpr int kGemmRows = 2, kGemmTokens = 2;

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

inline float32x4_t half4(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
inline VF loadHalf(const uint16_t* p) { return quarters<VF>([&](int i) { return half4(vld1_u16(p + 4 * i)); }); }
inline void storeHalf16(uint16_t* p, VF x) {
  for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i])));
}
inline VF loadBf16(const uint16_t* p) { return quarters<VF>([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); }); }

inline VI zeroInt() { return quarters<VI>([](int) { return vdupq_n_s32(0); }); }
inline VI loadInt(const int32_t* p) { return quarters<VI>([&](int i) { return vld1q_s32(p + 4 * i); }); }
inline void storeInt(int32_t* p, VI x) {
  for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, x.v[i]);
}
inline VF toFloat(VI x) { return quarters<VF>([&](int i) { return vcvtq_f32_s32(x.v[i]); }); }
inline VI toInt(VF x) { return quarters<VI>([&](int i) { return vcvtnq_s32_f32(x.v[i]); }); }
inline VI addInt(VI x, VI y) { return quarters<VI>([&](int i) { return vaddq_s32(x.v[i], y.v[i]); }); }
inline VI subInt(VI x, VI y) { return quarters<VI>([&](int i) { return vsubq_s32(x.v[i], y.v[i]); }); }
template <int bits> inline VI minusShifted(VI x) { return quarters<VI>([&](int i) { return vnegq_s32(vshlq_n_s32(x.v[i], bits)); }); }
inline VF pow2(VI n) { return quarters<VF>([&](int i) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n.v[i], vdupq_n_s32(127)), 23)); }); }
// The 16 values of one lane as bytes, four to each vector of a block.
inline void storeLane(int8_t (*vectors)[64], int lane, VI x) {
  const int16x8_t low = vcombine_s16(vmovn_s32(x.v[0]), vmovn_s32(x.v[1])), high = vcombine_s16(vmovn_s32(x.v[2]), vmovn_s32(x.v[3]));
  alignas(16) int32_t words[4];
  vst1q_s32(words, vreinterpretq_s32_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high))));
  for (int j = 0; j < 4; j++) __builtin_memcpy(&vectors[j][lane * 4], &words[j], 4);
}

inline VB loadBytes(const void* p) { return quarters<VB>([&](int i) { return vld1q_u8(static_cast<const uint8_t*>(p) + 16 * i); }); }
inline VB ones() { return quarters<VB>([](int) { return vdupq_n_u8(1); }); }
inline VB lowNibbles(VB x) { return quarters<VB>([&](int i) { return vandq_u8(x.v[i], vdupq_n_u8(15)); }); }
inline VB highNibbles(VB x) { return quarters<VB>([&](int i) { return vshrq_n_u8(x.v[i], 4); }); }
// 16 more in each byte whose bit is set in the 64-bit mask.
inline VB withFifth(VB x, const uint8_t* mask) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const uint8x16_t bytes = vcombine_u8(vld1_u8(mask), vdup_n_u8(0));
  return quarters<VB>([&](int i) {
    const auto from = static_cast<uint8_t>(2 * i);
    const uint8x16_t spread = vqtbl1q_u8(bytes, vcombine_u8(vdup_n_u8(from), vdup_n_u8(from + 1)));
    return vorrq_u8(x.v[i], vandq_u8(vtstq_u8(spread, bit), vdupq_n_u8(16)));
  });
}
// Bits `shift`, `shift` + 1 of each byte of the plane, as bits 4 and 5.
template <int shift> inline VB withUpper(VB x, VB plane) {
  return quarters<VB>([&](int i) {
    const uint8x16_t moved = vshlq_u8(plane.v[i], vdupq_n_s8(4 - shift));
    return vorrq_u8(x.v[i], vandq_u8(moved, vdupq_n_u8(0x30)));
  });
}

// Weights below 128, so that the signed product serves unsigned ones too.
inline VI dot(VI acc, VB w, VB x) { return quarters<VI>([&](int i) { return vdotq_s32(acc.v[i], vreinterpretq_s8_u8(w.v[i]), vreinterpretq_s8_u8(x.v[i])); }); }
inline VI signedStart(VI) { return zeroInt(); }
inline VI dotSigned(VI acc, VB w, VB x) { return dot(acc, w, x); }

// Lanes 2i, 2i + 1 = the i-th of eight values.
inline VF twice(float32x4_t low, float32x4_t high) {
  return {{vzip1q_f32(low, low), vzip2q_f32(low, low), vzip1q_f32(high, high), vzip2q_f32(high, high)}};
}
template <int start> inline VF pairs(VF x) { return twice(x.v[start / 4], x.v[start / 4 + 1]); }
inline VF pairsOfHalfs(const uint8_t* p) {
  const uint16x8_t halfs = vreinterpretq_u16_u8(vld1q_u8(p));
  return twice(half4(vget_low_u16(halfs)), half4(vget_high_u16(halfs)));
}

// q4_k, q5_k: [d * scale[8] | dmin * min[8]]
inline VF kScales(const uint8_t* small, uint32_t large, float d, float dmin) {
  const uint8x8_t bytes = vld1_u8(small);
  const uint8x16_t low = vcombine_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4));
  const uint8x16_t four = vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(0x0101010100000000), vcreate_u64(0x0303030302020202)));
  const int8x16_t shifts = vreinterpretq_s8_u32(vdupq_n_u32(0xfe000204));
  const uint8x16_t upper = vshlq_u8(vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(large)), four), shifts);
  const uint8x16_t codes = vorrq_u8(low, vandq_u8(upper, vdupq_n_u8(0x30)));
  const uint16x8_t first = vmovl_u8(vget_low_u8(codes)), second = vmovl_u8(vget_high_u8(codes));
  auto scaled = [](uint16x4_t x, float factor) { return vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(x)), factor); };
  return {{scaled(vget_low_u16(first), d), scaled(vget_high_u16(first), d), scaled(vget_low_u16(second), dmin), scaled(vget_high_u16(second), dmin)}};
}
// q6_k: d * scale[16]
inline VF q6Scales(const uint8_t* scales, float d) {
  const int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(scales));
  const int16x8_t first = vmovl_s8(vget_low_s8(bytes)), second = vmovl_s8(vget_high_s8(bytes));
  auto scaled = [&](int16x4_t x) { return vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(x)), d); };
  return {{scaled(vget_low_s16(first)), scaled(vget_high_s16(first)), scaled(vget_low_s16(second)), scaled(vget_high_s16(second))}};
}
inline float halfAt(const uint8_t* p) {
  __fp16 h;
  __builtin_memcpy(&h, p, 2);
  return h;
}

inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
inline void prefetchFar(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace
