// Compressed pages over the sixteen lanes of a vec_*.h: a page's keys and values to nested codes, and attention over
// codes that are unpacked in registers only. src/backend/reference/page-codec.ts says what the codes mean and in which
// order the encoder computes; planes.ts there has the layout.
#pragma once
#include "format.h"
#include "kernels.h"

namespace {

struct TierBits { int key, value; };
constexpr TierBits kTierBits[kTiers] = {{16, 16}, {8, 8}, {5, 4}, {4, 3}};

// ---- encoding

// The orthonormal Hadamard transform, in place.
void rotate(float* x, int headDim) {
  for (int half = 1; half < headDim; half *= 2)
    for (int start = 0; start < headDim; start += 2 * half)
      for (int i = start; i < start + half; i++) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
  const VF scale = set1(static_cast<float>(1.0 / __builtin_sqrt(headDim)));
  for (int i = 0; i < headDim; i += 16) store(x + i, mul(load(x + i), scale));
}

// Levels lie at half steps around zero: level i of n is i - middle.
template <int bits> constexpr float kMiddle = ((1 << bits) - 1) / 2.0f;

// The level nearest to x, counted from the lowest, as a whole number.
template <int bits> inline VI codeOf(VF x, VF inverse) {
  const VF place = add(mul(x, inverse), set1(kMiddle<bits>));
  return toInt(minOf(maxOf(place, zero()), set1(2 * kMiddle<bits>)));
}

inline float inverseOf(float step) { return step > 0 ? 1.0f / step : 0.0f; }

template <int bits> float squaredError(const float* x, int n, float step) {
  const VF inverse = set1(inverseOf(step)), by = set1(step);
  VF sum = zero();
  for (int i = 0; i < n; i += 16) {
    const VF value = load(x + i);
    const VF off = sub(mul(sub(toFloat(codeOf<bits>(value, inverse)), set1(kMiddle<bits>)), by), value);
    sum = add(sum, mul(off, off));
  }
  return sumLanes(sum);
}

// The 8-bit step, as a half, whose codes of `bits` bits leave the smallest squared error.
template <int bits> uint16_t bestScale(const float* x, int n) {
  constexpr double clips[] = {0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1};
  constexpr float coarser = 1 << (8 - bits);
  VF most = zero();
  for (int i = 0; i < n; i += 16) most = maxOf(abs(load(x + i)), most);
  const float largest = maxLanes(most);
  uint16_t best = 0;
  float least = __builtin_inff();
  for (const double clip : clips) {
    const uint16_t scale = floatToHalf(largest * static_cast<float>(clip / kMiddle<bits>) / coarser);
    const float error = squaredError<bits>(x, n, halfToFloat(scale) * coarser);
    if (error < least) least = error, best = scale;
  }
  return best;
}

// Bit `bit` of eight bytes as one byte, the first byte's lowest.
inline uint8_t bitsOf(uint64_t bytes, int bit) {
  return static_cast<uint8_t>((((bytes >> bit) & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
}

// Where one part of a page (keys or values) goes: its mean, its scales, and its planes from bit 7 down.
struct PartPlace {
  uint16_t *mean, *scales;
  uint8_t* planes[8];
};

// Sixteen codes into the upper planes; `at` counts codes.
inline void storeCodes(VI codes, uint8_t* const* planes, int bits, int at) {
  alignas(64) int32_t wide[16];
  storeInt(wide, codes);
  for (int half = 0; half < 2; half++) {
    uint64_t bytes = 0;
    for (int i = 0; i < 8; i++) bytes |= static_cast<uint64_t>(wide[half * 8 + i]) << (8 * i);
    for (int i = 0; i < bits; i++) planes[i][at / 8 + half] = bitsOf(bytes, 7 - i);
  }
}

// `groups` scales a token, each the best for codes of `scaleBits` bits.
template <int scaleBits, int groups> void encodePart(const uint16_t* rows, int headDim, int bits, const PartPlace& to) {
  alignas(64) float x[kPageTokens * kMaxHeadDim];
  for (int t = 0; t < kPageTokens; t++) {
    for (int i = 0; i < headDim; i += 16) store(x + t * headDim + i, loadHalf(rows + t * headDim + i));
    rotate(x + t * headDim, headDim);
  }
  for (int i = 0; i < headDim; i += 16) {
    VF sum = zero();
    for (int t = 0; t < kPageTokens; t++) sum = add(sum, load(x + t * headDim + i));
    storeHalf16(to.mean + i, mul(sum, set1(1.0f / kPageTokens)));
    const VF mean = loadHalf(to.mean + i);
    for (int t = 0; t < kPageTokens; t++) store(x + t * headDim + i, sub(load(x + t * headDim + i), mean));
  }
  const int group = headDim / groups;
  for (int start = 0; start < kPageTokens * headDim; start += group) {
    const uint16_t scale = bestScale<scaleBits>(x + start, group);
    to.scales[start / group] = scale;
    const VF inverse = set1(inverseOf(halfToFloat(scale)));
    for (int i = start; i < start + group; i += 16) storeCodes(codeOf<8>(load(x + i), inverse), to.planes, bits, i);
  }
}

// The parts of a page of one head in its pieces; planes that the tier has not are null.
inline PartPlace keyPlace(uint8_t* const* pieces, int headDim) {
  const int plane = kPageTokens * headDim / 8;
  PartPlace at{reinterpret_cast<uint16_t*>(pieces[0]), reinterpret_cast<uint16_t*>(pieces[0]) + headDim, {}};
  for (int i = 0; i < 4; i++) at.planes[i] = pieces[0] + 2 * headDim + 2 * kPageTokens + i * plane;
  at.planes[4] = pieces[1];
  for (int i = 0; i < 3; i++) at.planes[5 + i] = pieces[2] + i * plane;
  return at;
}
inline PartPlace valuePlace(uint8_t* const* pieces, int headDim) {
  const int plane = kPageTokens * headDim / 8;
  uint8_t* values = pieces[0] + 2 * headDim + 2 * kPageTokens + 4 * plane;
  PartPlace at{reinterpret_cast<uint16_t*>(values), reinterpret_cast<uint16_t*>(values) + headDim, {}};
  for (int i = 0; i < 3; i++) at.planes[i] = values + 2 * headDim + 4 * kPageTokens + i * plane;
  at.planes[3] = pieces[1] + plane;
  for (int i = 0; i < 4; i++) at.planes[4 + i] = pieces[2] + (3 + i) * plane;
  return at;
}

void encodePage(const uint16_t* keys, const uint16_t* values, int headDim, int tier, uint8_t* const* pieces) {
  encodePart<4, 1>(keys, headDim, kTierBits[tier].key, keyPlace(pieces, headDim));
  encodePart<3, 2>(values, headDim, kTierBits[tier].value, valuePlace(pieces, headDim));
}

// ---- attention over codes

constexpr float kMasked = -1e30f;  // the score of what is not read

template <int bits, int i = 0> inline VB codesAt(const uint8_t* const* planes, int at, VB codes = noBytes()) {
  if constexpr (i == bits) return codes;
  else return codesAt<bits, i + 1>(planes, at, withBit<bits - 1 - i>(codes, planes[i] + at));
}

// 64 levels, counted from the middle, of the codes from `at` on.
template <int bits> inline void levelsAt(const uint8_t* const* planes, int at, VF* levels) {
  floatsOf(codesAt<bits>(planes, at / 8), levels);
  for (int i = 0; i < 4; i++) levels[i] = sub(levels[i], set1(kMiddle<bits>));
}

// Products of queries and levels, [group][kPageTokens], become scores: times the keys' steps, plus those with the mean.
// Those of blocks that are not read are kMasked.
template <int chunks> inline void scaleScores(const float* q, int group, const PartPlace& keys, int bits, int blocks, float* scores) {
  constexpr int headDim = chunks * 16;
  for (int g = 0; g < group; g++) {
    VF sum = zero();
    for (int c = 0; c < chunks; c++) sum = fma(load(q + g * headDim + c * 16), loadHalf(keys.mean + c * 16), sum);
    const VF mean = set1(sumLanes(sum)), coarser = set1(static_cast<float>(1 << (8 - bits)));
    for (int b = 0; b < kPageBlocks; b++) {
      float* s = scores + g * kPageTokens + b * 16;
      store(s, blocks >> b & 1 ? fma(load(s), mul(loadHalf(keys.scales + b * 16), coarser), mean) : set1(kMasked));
    }
  }
}

// Products of queries with 16 tokens' levels, into scores [group][kPageTokens] from token `first` on.
template <int chunks, int bits> inline void blockProducts(const float* q, int group, const uint8_t* const* planes, int first, float* scores) {
  constexpr int headDim = chunks * 16, tokens = chunks < 4 ? 4 / chunks : 1, vectors = chunks < 4 ? 1 : chunks / 4;
  VF waiting[16];
  alignas(64) float sums[16];
  int done = 0, n = 0;  // dot products that were folded, and that wait: token by token, head by head
  for (int t = first; t < first + 16; t += tokens) {
    VF k[vectors * 4];
    for (int v = 0; v < vectors; v++) levelsAt<bits>(planes, t * headDim + v * 64, k + v * 4);
    for (int s = 0; s < tokens; s++)
      for (int g = 0; g < group; g++) {
        VF sum = mul(load(q + g * headDim), k[s * chunks]);
        for (int c = 1; c < chunks; c++) sum = fma(load(q + g * headDim + c * 16), k[s * chunks + c], sum);
        waiting[n++] = sum;
        if (n < 16) continue;
        sumLanes16(waiting, sums);
        for (int i = 0; i < 16; i++) scores[(done + i) % group * kPageTokens + first + (done + i) / group] = sums[i];
        done += 16, n = 0;
      }
  }
}

// Scores of one page, [group][kPageTokens], for rotated queries.
template <int chunks, int bits> void codedScores(const float* q, int group, const PartPlace& keys, int blocks, float* scores) {
  for (int b = 0; b < kPageBlocks; b++)
    if (blocks >> b & 1) blockProducts<chunks, bits>(q, group, keys.planes, b * 16, scores);
  scaleScores<chunks>(q, group, keys, bits, blocks, scores);
}

// out += probabilities of one page times its levels, for `heads` heads; w as scaleWeights makes it.
template <int chunks, int bits, int heads> void codedHeads(const float* w, const PartPlace& values, int blocks, float* out) {
  constexpr int headDim = chunks * 16, tokens = chunks < 4 ? 4 / chunks : 1, width = chunks < 4 ? chunks : 4;
  for (int v = 0; v * 64 < headDim; v++) {
    VF acc[heads * width];
    for (int g = 0; g < heads; g++)
      for (int c = 0; c < width; c++) acc[g * width + c] = load(out + g * headDim + v * 64 + c * 16);
    for (int t = 0; t < kPageTokens; t += tokens) {
      if (!(blocks >> t / 16 & 1)) continue;
      VF x[4];
      levelsAt<bits>(values.planes, t * headDim + v * 64, x);
      for (int i = 0; i < 4; i++) {
        const int half = (v * 4 + i % width) * 2 / chunks, token = t + i / width;
        for (int g = 0; g < heads; g++) {
          VF& sum = acc[g * width + i % width];
          sum = fma(set1(w[(g * 2 + half) * kPageTokens + token]), x[i], sum);
        }
      }
    }
    for (int g = 0; g < heads; g++)
      for (int c = 0; c < width; c++) store(out + g * headDim + v * 64 + c * 16, acc[g * width + c]);
  }
}

// out += probabilities [group][kPageTokens] times the values' mean; w [group][2][kPageTokens]: probabilities times the
// steps of the two halves of the channels.
template <int chunks> inline void scaleWeights(const float* p, int group, const PartPlace& values, int bits, float* w, float* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float scales[2][kPageTokens];
  for (int t = 0; t < kPageTokens; t++)
    for (int half = 0; half < 2; half++) scales[half][t] = halfToFloat(values.scales[t * 2 + half]) * static_cast<float>(1 << (8 - bits));
  for (int g = 0; g < group; g++) {
    VF sum = zero();
    for (int t = 0; t < kPageTokens; t += 16) {
      const VF weight = load(p + g * kPageTokens + t);
      sum = add(sum, weight);
      for (int half = 0; half < 2; half++) store(w + (g * 2 + half) * kPageTokens + t, mul(weight, load(scales[half] + t)));
    }
    const VF total = set1(sumLanes(sum));
    for (int c = 0; c < chunks; c++) {
      float* o = out + g * headDim + c * 16;
      store(o, fma(total, loadHalf(values.mean + c * 16), load(o)));
    }
  }
}

template <int chunks, int bits> void codedValues(const float* p, int group, const PartPlace& values, int blocks, float* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float w[kMaxGroup * 2 * kPageTokens];
  scaleWeights<chunks>(p, group, values, bits, w, out);
  int g = 0;
  for (; g + 4 <= group; g += 4) codedHeads<chunks, bits, 4>(w + g * 2 * kPageTokens, values, blocks, out + g * headDim);
  for (; g < group; g++) codedHeads<chunks, bits, 1>(w + g * 2 * kPageTokens, values, blocks, out + g * headDim);
}

template <int chunks> void codedPageScores(const float* q, int group, const KvPage& page, float* scores) {
  const PartPlace keys = keyPlace(page.pieces, chunks * 16);
  if (page.tier == 1) return codedScores<chunks, kTierBits[1].key>(q, group, keys, page.blocks, scores);
  if (page.tier == 2) return codedScores<chunks, kTierBits[2].key>(q, group, keys, page.blocks, scores);
  return codedScores<chunks, kTierBits[3].key>(q, group, keys, page.blocks, scores);
}

template <int chunks> void codedPageValues(const float* p, int group, const KvPage& page, float* out) {
  const PartPlace values = valuePlace(page.pieces, chunks * 16);
  if (page.tier == 1) return codedValues<chunks, kTierBits[1].value>(p, group, values, page.blocks, out);
  if (page.tier == 2) return codedValues<chunks, kTierBits[2].value>(p, group, values, page.blocks, out);
  return codedValues<chunks, kTierBits[3].value>(p, group, values, page.blocks, out);
}

}  // namespace
