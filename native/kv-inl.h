// Compressed pages over the sixteen lanes of a vec_*.h: a page's keys and values to nested codes, and attention over
// codes, block by block and strip by strip, as products of whole numbers. src/backend/reference/page-codec.ts says what
// the codes mean and in which order the encoder computes; planes.ts there has the layout.
#pragma once
#include <utility>
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

// A page's keys or values as floats, in the same order.
inline void widen(const uint16_t* halves, int headDim, float* out) {
  for (int i = 0; i < kPageTokens * headDim; i += 16) store(out + i, loadHalf(halves + i));
}

// A page's keys as rows of floats [kPageTokens][headDim].
inline void keyRows(const uint16_t* keys, int headDim, float* rows) {
  alignas(64) float channel[16];
  for (int t = 0; t < kPageTokens; t += 16)
    for (int i = 0; i < headDim; i++) {
      store(channel, loadHalf(keys + keyStart(t, headDim) + i * kKeyPanel));
      for (int j = 0; j < 16; j++) rows[(t + j) * headDim + i] = channel[j];
    }
}

// Spoils the rows x. `groups` scales a token, each the best for codes of `scaleBits` bits.
template <int scaleBits, int groups> void encodePart(float* x, int headDim, int bits, const PartPlace& to) {
  for (int t = 0; t < kPageTokens; t++) rotate(x + t * headDim, headDim);
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

inline void encodePage(const uint16_t* keys, const uint16_t* values, int headDim, int tier, uint8_t* const* pieces) {
  alignas(64) float rows[kPageTokens * kMaxHeadDim];
  keyRows(keys, headDim, rows);
  encodePart<4, 1>(rows, headDim, kTierBits[tier].key, keyPlace(pieces, headDim));
  widen(values, headDim, rows);
  encodePart<3, 2>(rows, headDim, kTierBits[tier].value, valuePlace(pieces, headDim));
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

// Products of queries with the mean of keys, one after another.
template <int chunks> inline void meanScores(const float* q, int group, const uint16_t* mean, float* out) {
  VF sums[16];
  for (int g = 0; g < 16; g++) {
    sums[g] = zero();
    for (int c = 0; g < group && c < chunks; c++) sums[g] = fma(load(q + (g * chunks + c) * 16), loadHalf(mean + c * 16), sums[g]);
  }
  sumLanes16(sums, out);
}

// Products of queries and levels, [group][kPageTokens], become scores: times the keys' steps, plus those with the mean.
template <int chunks> inline void scaleScores(const float* q, int group, const PartPlace& keys, const BlockMeans* means, int bits, float* scores) {
  alignas(64) float ofMeans[kPageBlocks][16];
  for (int b = 0; b < (means ? kPageBlocks : 1); b++) meanScores<chunks>(q, group, means ? means[b].keys : keys.mean, ofMeans[b]);
  const VF coarser = set1(static_cast<float>(1 << (8 - bits)));
  for (int b = 0; b < kPageBlocks; b++) {
    const VF steps = mul(loadHalf(keys.scales + b * 16), coarser);
    for (int g = 0; g < group; g++) {
      float* s = scores + g * kPageTokens + b * 16;
      store(s, fma(load(s), steps, set1(ofMeans[means ? b : 0][g])));
    }
  }
}

// Numbers as whole ones of 16 bits, the largest as 32767: what is lost is far below what codes of 8 bits lose, and sums
// of their products with codes are exact, in any order.
constexpr float kMostWhole = 32767;

struct Wholes {
  float unit;  // what one is worth
  int32_t sum;
};

template <int vectors> inline Wholes wholesOf(const VF* x, VI* out) {
  VF most = zero();
  for (int i = 0; i < vectors; i++) most = maxOf(abs(x[i]), most);
  const float largest = maxLanes(most);
  const bool tiny = !(largest > 1e-30f);  // the reciprocal would overflow
  const VF inverse = set1(tiny ? 0.0f : kMostWhole / largest);
  VI sums = zeroInt();
  for (int i = 0; i < vectors; i++) {
    out[i] = toInt(mul(x[i], inverse));
    sums = addInt(sums, out[i]);
  }
  alignas(64) int32_t lanes[16];
  storeInt(lanes, sums);
  int32_t sum = 0;
  for (const int32_t lane : lanes) sum += lane;
  return {tiny ? 0.0f : largest / kMostWhole, sum};
}

// Sums of whole numbers times codes become sums of numbers times levels, which lie around the codes' middle.
template <int bits> inline VF aroundMiddle(VI products, const Wholes& wholes) {
  const VI twice = subInt(addInt(products, products), set1Int(((1 << bits) - 1) * wholes.sum));
  return mul(toFloat(twice), set1(wholes.unit * 0.5f));
}

// A head's query for keyProducts: word w * 16 + i has channels 32 w + i and 32 w + i + 16.
struct WholeQuery {
  alignas(64) int32_t pairs[kMaxHeadDim / 2];
  Wholes wholes;
};

template <int chunks> inline void wholeQueries(const float* q, int group, WholeQuery* out) {
  for (int g = 0; g < group; g++) {
    VF x[chunks];
    VI whole[chunks];
    for (int i = 0; i < chunks; i++) x[i] = load(q + (g * chunks + i) * 16);
    out[g].wholes = wholesOf<chunks>(x, whole);
    for (int w = 0; w < chunks / 2; w++) storeInt(out[g].pairs + w * 16, orInt(andInt(whole[2 * w], 0xffff), upBy<16>(whole[2 * w + 1])));
  }
}

// Four planes of 32 channels' bits as four vectors: nibble m of vector r is channel 4 m + r.
inline void nibblesOf(const VB* planes, int stride, VI* out) {
  const Pairs upper = pairsOf(planes[0], planes[stride]), lower = pairsOf(planes[2 * stride], planes[3 * stride]);
  constexpr int low = 0x33333333, high = static_cast<int>(0xcccccccc);
  auto join = [&](VB u, VB l, VI* to) {
    to[0] = orInt(upBy<2>(andInt(asInts(u), low)), andInt(asInts(l), low));
    to[2] = orInt(andInt(asInts(u), high), downBy<2>(andInt(asInts(l), high)));
  };
  join(upper.even, lower.even, out);
  join(upper.odd, lower.odd, out + 1);
}

// The codes of a word's channels 4 m + r and 4 m + r + 16.
template <int bits, int r, int m> inline VI pairedCodes(const VI* nibbles, VB lowest) {
  constexpr int both = 0xf000f;
  const VI first = andInt(downBy<4 * m>(nibbles[r]), both);
  if constexpr (bits == 4) return first;
  if constexpr (bits == 5) return orInt(upBy<1>(first), andInt(downBy<4 * m + r>(asInts(lowest)), 0x10001));
  if constexpr (bits == 8) return orInt(upBy<4>(first), andInt(downBy<4 * m>(nibbles[4 + r]), both));
}

// Keys' codes of 16 tokens, a token a lane: words * 16 vectors, in the order of a WholeQuery.
template <int chunks> constexpr int kBlockWords = chunks / 2 * 256;

template <int words, int bits> inline void keyCodes(const uint8_t* const* planes, int first, int32_t* out) {
  VB columns[bits * words];
  for (int i = 0; i < bits; i++) loadColumns<words>(planes[i] + first * words * 4, columns + i * words);
  for (int w = 0; w < words; w++, out += 256) {
    VI nibbles[8];
    nibblesOf(columns + w, words, nibbles);
    if constexpr (bits == 8) nibblesOf(columns + 4 * words + w, words, nibbles + 4);
    const VB lowest = columns[(bits - 1) * words + w];
    auto four = [&]<int r>() {
      storeInt(out + r * 16, pairedCodes<bits, r, 0>(nibbles, lowest));
      storeInt(out + (4 + r) * 16, pairedCodes<bits, r, 1>(nibbles, lowest));
      storeInt(out + (8 + r) * 16, pairedCodes<bits, r, 2>(nibbles, lowest));
      storeInt(out + (12 + r) * 16, pairedCodes<bits, r, 3>(nibbles, lowest));
    };
    four.template operator()<0>(), four.template operator()<1>(), four.template operator()<2>(), four.template operator()<3>();
  }
}

// Products of `heads` queries with the levels of so many blocks, into scores [heads][kPageTokens]. A function of its own,
// as valueProducts is: sums would else leave their registers for constants of the code around it.
template <int words, int bits, int heads, int blocks> [[gnu::noinline]] void keyProducts(const WholeQuery* q, const int32_t* codes, float* scores) {
  constexpr int n = heads * blocks;
  VI sums[n];
  for (int j = 0; j < n; j++) sums[j] = zeroInt();
// Twice: GCC would else move every sum to another register and back.
#pragma GCC unroll 2
  for (int i = 0; i < words * 16; i++) {
    VI code[blocks], query[heads];
    for (int b = 0; b < blocks; b++) code[b] = loadInt(codes + (b * words * 16 + i) * 16);
    for (int h = 0; h < heads; h++) query[h] = set1Int(q[h].pairs[i]);
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sums[j] = dotPairs(sums[j], code[j % blocks], query[j / blocks]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) store(scores + j / blocks * kPageTokens + j % blocks * 16, aroundMiddle<bits>(sums[j], q[j / blocks].wholes));
}

template <int words, int bits, int blocks> inline void blockProducts(const WholeQuery* q, int group, const int32_t* codes, float* scores) {
  int g = 0;
  for (; g + kBlockHeads <= group; g += kBlockHeads) keyProducts<words, bits, kBlockHeads, blocks>(q + g, codes, scores + g * kPageTokens);
  for (; g < group; g++) keyProducts<words, bits, 1, blocks>(q + g, codes, scores + g * kPageTokens);
}

// What every tier has of a page.
constexpr int nestedBytes(int headDim) { return 2 * 2 * headDim + 6 * kPageTokens + 7 * kPageTokens * headDim / 8; }

// Scores of one page, [group][kPageTokens], for rotated queries. Meanwhile the next page is fetched: it lies elsewhere,
// where the processor does not look by itself.
template <int chunks, int bits> void codedScores(const float* q, const WholeQuery* wholes, int group, const KvPage& page, const uint8_t* next, float* scores) {
  constexpr int each = nestedBytes(chunks * 16) / kPageBlocks, together = kBlockVectors, words = kBlockWords<chunks>;
  const PartPlace keys = keyPlace(page.pieces, chunks * 16);
  alignas(64) int32_t codes[together * words];
  for (int b = 0; b < kPageBlocks; b += together) {
    for (int i = 0; i < together * each; i += 64) prefetchFar(next + b * each + i);
    for (int i = 0; i < together; i++) keyCodes<chunks / 2, bits>(keys.planes, (b + i) * 16, codes + i * words);
    blockProducts<chunks / 2, bits, together>(wholes, group, codes, scores + b * 16);
  }
  scaleScores<chunks>(q, group, keys, page.means, bits, scores);
}

// A head's weights for valueProducts, of either half of the channels: words of two tokens each.
struct WholeWeights {
  alignas(64) int16_t tokens[2][kPageTokens];
  Wholes wholes[2];
};

template <int chunks> inline void addMean(const uint16_t* mean, float total, float* out) {
  for (int c = 0; c < chunks; c++) store(out + c * 16, fma(set1(total), loadHalf(mean + c * 16), load(out + c * 16)));
}

// out += probabilities [group][kPageTokens] times the values' mean; weights: probabilities times the steps of the two
// halves of the channels. Values of 32 channels lie two tokens in a vector, so that a word has tokens t and t + 2 there.
template <int chunks> inline void wholeWeights(const float* p, int group, const PartPlace& values, const BlockMeans* means, int bits, WholeWeights* weights, float* out) {
  constexpr int headDim = chunks * 16, vectors = kPageBlocks;
  alignas(64) float both[kPageTokens * 2], scales[2][kPageTokens];
  const VF coarser = set1(static_cast<float>(1 << (8 - bits)));
  for (int i = 0; i < kPageTokens * 2; i += 16) store(both + i, mul(loadHalf(values.scales + i), coarser));
  for (int t = 0; t < kPageTokens; t++) scales[0][t] = both[2 * t], scales[1][t] = both[2 * t + 1];
  for (int g = 0; g < group; g++) {
    VF sum = zero(), w[2][vectors], ofBlocks[16];
    for (int i = 0; i < vectors; i++) {
      ofBlocks[i] = load(p + g * kPageTokens + i * 16), ofBlocks[vectors + i] = zero();
      sum = add(sum, ofBlocks[i]);
      for (int half = 0; half < 2; half++) w[half][i] = mul(ofBlocks[i], load(scales[half] + i * 16));
    }
    if (means == nullptr) {
      addMean<chunks>(values.mean, sumLanes(sum), out + g * headDim);
    } else {
      alignas(64) float totals[16];
      sumLanes16(ofBlocks, totals);
      for (int b = 0; b < vectors; b++) addMean<chunks>(means[b].values, totals[b], out + g * headDim);
    }
    for (int half = 0; half < 2; half++) {
      int16_t* tokens = weights[g].tokens[half];
      VI whole[vectors];
      weights[g].wholes[half] = wholesOf<vectors>(w[half], whole);
      for (int i = 0; i < vectors; i++) storeShorts(tokens + i * 16, whole[i]);
      for (int t = 1; chunks == 2 && t < kPageTokens; t += 4) std::swap(tokens[t], tokens[t + 1]);
    }
  }
}

// How the vectors of a page's values are taken: strips of 64 channels or less, of which `vectors` hold two tokens.
template <int chunks> constexpr int kStripVectors = chunks < 4 ? chunks : 4;
template <int chunks> constexpr int kStripWords = kPageTokens / 2 * kStripVectors<chunks> * 16;

// Values' codes of one strip, [pairs of tokens][vectors].
template <int chunks, int bits> inline void valueCodes(const uint8_t* const* planes, int strip, int32_t* out) {
  constexpr int headDim = chunks * 16, step = chunks < 4 ? 4 : 2;  // tokens of four vectors
  for (int t = 0; t < kPageTokens; t += step, out += 64) {
    const int at = (t * headDim + strip * 64) / 8, next = step / 2 * headDim / 8;
    VI pairs[4];
    zipBytes(codesAt<bits>(planes, at), codesAt<bits>(planes, at + next), pairs);
    for (int i = 0; i < 4; i++) storeInt(out + i * 16, pairs[i]);
  }
}

// out, a strip of `heads` heads, += weights times levels.
template <int chunks, int bits, int heads> [[gnu::noinline]] void valueProducts(const WholeWeights* w, const int32_t* codes, int strip, float* out) {
  constexpr int vectors = kStripVectors<chunks>, n = heads * vectors;
  // The halves of the channels that a strip has parts of, and which of them a vector belongs to.
  constexpr int halves = chunks < 8 ? 2 : 1;
  const int firstHalf = strip * 8 / chunks;
  auto half = [](int j) { return j % vectors * halves / vectors; };
  VI sums[n];
  for (int j = 0; j < n; j++) sums[j] = zeroInt();
  for (int pair = 0; pair < kPageTokens / 2; pair++) {
    VI code[vectors], weights[heads][halves];
    for (int i = 0; i < vectors; i++) code[i] = loadInt(codes + (pair * vectors + i) * 16);
    for (int h = 0; h < heads * halves; h++) {
      int32_t word;
      __builtin_memcpy(&word, w[h / halves].tokens[firstHalf + h % halves] + pair * 2, 4);
      weights[h / halves][h % halves] = set1Int(word);
    }
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sums[j] = dotPairs(sums[j], code[j % vectors], weights[j / vectors][half(j)]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) {
    float* to = out + j / vectors * chunks * 16 + strip * 64 + j % vectors * 16;
    store(to, add(load(to), aroundMiddle<bits>(sums[j], w[j / vectors].wholes[firstHalf + half(j)])));
  }
}

template <int chunks, int bits> inline void stripProducts(const WholeWeights* w, int group, const int32_t* codes, int strip, float* out) {
  constexpr int heads = kBlockHeads * kBlockVectors / 4;
  int g = 0;
  for (; g + heads <= group; g += heads) valueProducts<chunks, bits, heads>(w + g, codes, strip, out + g * chunks * 16);
  for (; g < group; g++) valueProducts<chunks, bits, 1>(w + g, codes, strip, out + g * chunks * 16);
}

// out += probabilities of one page, [group][kPageTokens], times its values.
template <int chunks, int bits> void codedValues(const float* p, int group, const KvPage& page, float* out) {
  const PartPlace values = valuePlace(page.pieces, chunks * 16);
  alignas(64) int32_t codes[kStripWords<chunks>];
  WholeWeights weights[kMaxGroup];
  wholeWeights<chunks>(p, group, values, page.means, bits, weights, out);
  for (int strip = 0; strip * 4 < chunks; strip++) {
    valueCodes<chunks, bits>(values.planes, strip, codes);
    stripProducts<chunks, bits>(weights, group, codes, strip, out);
  }
}

template <int chunks> void codedPageScores(const float* q, const WholeQuery* wholes, int group, const KvPage& page, const KvPage& next, float* scores) {
  const uint8_t* const after = next.tier == 0 ? page.pieces[0] : next.pieces[0];
  if (page.tier == 1) return codedScores<chunks, kTierBits[1].key>(q, wholes, group, page, after, scores);
  if (page.tier == 2) return codedScores<chunks, kTierBits[2].key>(q, wholes, group, page, after, scores);
  return codedScores<chunks, kTierBits[3].key>(q, wholes, group, page, after, scores);
}

template <int chunks> void codedPageValues(const float* p, int group, const KvPage& page, float* out) {
  if (page.tier == 1) return codedValues<chunks, kTierBits[1].value>(p, group, page, out);
  if (page.tier == 2) return codedValues<chunks, kTierBits[2].value>(p, group, page, out);
  return codedValues<chunks, kTierBits[3].value>(p, group, page, out);
}

// ---- blocks of several pages in the places of one

// So that a page of which one block is read costs that block, and not a page.
template <int headDim> class BlockPage {
 public:
  bool isFull() const { return count_ == kPageBlocks; }
  int tokens() const { return count_ * 16; }
  // Only blocks of one tier lie in one page.
  bool takes(const KvPage& page) const { return !isFull() && (count_ == 0 || page_.tier == page.tier); }

  void add(const KvPage& from, int block) {
    const PartPlace keys = keyPlace(from.pieces, headDim), values = valuePlace(from.pieces, headDim);
    const TierBits bits = kTierBits[from.tier];
    memcpy(keys_.scales + count_ * 16, keys.scales + block * 16, 32);
    memcpy(values_.scales + count_ * 32, values.scales + block * 32, 64);
    for (int i = 0; i < bits.key; i++) memcpy(keys_.planes[i] + count_ * kBlockBytes, keys.planes[i] + block * kBlockBytes, kBlockBytes);
    for (int i = 0; i < bits.value; i++) memcpy(values_.planes[i] + count_ * kBlockBytes, values.planes[i] + block * kBlockBytes, kBlockBytes);
    page_.tier = from.tier;
    means_[count_++] = {keys.mean, values.mean};
  }

  // What was added, as a page whose other tokens are to be masked. Then it is empty.
  const KvPage& take() {
    for (int b = count_; b < kPageBlocks; b++) {
      memset(keys_.scales + b * 16, 0, 32);
      memset(values_.scales + b * 32, 0, 64);
      means_[b] = means_[0];
    }
    count_ = 0;
    return page_;
  }

 private:
  static constexpr int kPlane = kPageTokens * headDim / 8, kBlockBytes = kPlane / kPageBlocks;

  alignas(64) uint8_t memory_[nestedBytes(headDim) + 9 * kPlane];
  BlockMeans means_[kPageBlocks];
  KvPage page_{nullptr, nullptr, {memory_, memory_ + nestedBytes(headDim), memory_ + nestedBytes(headDim) + 2 * kPlane}, 0, 0, means_};
  const PartPlace keys_ = keyPlace(page_.pieces, headDim), values_ = valuePlace(page_.pieces, headDim);
  int count_ = 0;
};

// What every tier has of those blocks of a page that are read.
template <int headDim> inline void prefetchBlocks(const KvPage& page) {
  constexpr int bytes = 2 * headDim;
  const PartPlace keys = keyPlace(page.pieces, headDim), values = valuePlace(page.pieces, headDim);
  auto prefetch = [](const void* first) {
    for (int i = 0; i < bytes; i += 64) prefetchFar(static_cast<const uint8_t*>(first) + i);
  };
  prefetch(keys.mean), prefetch(values.mean);
  for (int b = 0; b < kPageBlocks; b++) {
    if (!(page.blocks >> b & 1)) continue;
    prefetchFar(reinterpret_cast<const uint8_t*>(keys.scales + b * 16));
    prefetchFar(reinterpret_cast<const uint8_t*>(values.scales + b * 32));
    for (int i = 0; i < kTierBits[3].key; i++) prefetch(keys.planes[i] + b * bytes);
    for (int i = 0; i < kTierBits[3].value; i++) prefetch(values.planes[i] + b * bytes);
  }
}

}  // namespace
