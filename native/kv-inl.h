// Compressed pages over the sixteen lanes of a vec_*.h: a page's keys and values to nested codes, and attention over
// codes, block by block and strip by strip, as products of whole numbers. src/backend/reference/page-codec.ts says what
// the codes mean and in which order the encoder computes.
#pragma once
#include "planes-inl.h"

namespace {

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

// Spoils the rows x. `groups` steps a token, each the best for codes of `scaleBits` bits.
template <Part part, int scaleBits, int groups> void encodePart(float* x, int headDim, int tier, const PartPlace& to) {
  for (int t = 0; t < kPageTokens; t++) rotate(x + t * headDim, headDim);
  for (int i = 0; i < headDim; i += 16) {
    VF sum = zero();
    for (int t = 0; t < kPageTokens; t++) sum = add(sum, load(x + t * headDim + i));
    storeHalf16(to.mean + i, mul(sum, set1(1.0f / kPageTokens)));
    const VF mean = loadHalf(to.mean + i);
    for (int t = 0; t < kPageTokens; t++) store(x + t * headDim + i, sub(load(x + t * headDim + i), mean));
  }
  const int group = headDim / groups;
  alignas(64) int32_t codes[16 * kMaxHeadDim];
  for (int t = 0; t < kPageTokens; t++) {
    for (int half = 0; half < groups; half++, x += group) {
      const uint16_t scale = bestScale<scaleBits>(x, group);
      to.scales[half * kPageTokens + t] = scale;
      const VF inverse = set1(inverseOf(halfToFloat(scale)));
      for (int i = 0; i < group; i += 16) storeInt(codes + t % 16 * headDim + half * group + i, codeOf<8>(load(x + i), inverse));
    }
    if (t % 16 == 15) packCodes(part, codes, headDim, kTierPlanes[tier], t / 16, to.planes);
  }
}

inline void encodePage(const uint16_t* keys, const uint16_t* values, int headDim, int tier, uint8_t* const* pieces) {
  alignas(64) float rows[kPageTokens * kMaxHeadDim];
  keyRows(keys, headDim, rows);
  encodePart<kKeys, 4, 1>(rows, headDim, tier, keyPlace(pieces, headDim));
  widen(values, headDim, rows);
  encodePart<kValues, 3, 2>(rows, headDim, tier, valuePlace(pieces, headDim));
}

// ---- attention over codes

constexpr float kMasked = -1e30f;  // the score of what is not read

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

// Numbers as whole ones of 16 bits: what is lost is far below what codes of 8 bits lose, and sums of their products with
// codes are exact, in any order. The largest is the largest number that two signed bytes make up: 127 * 256 + 127.
constexpr float kMostWhole = 32639;

struct Wholes {
  float unit;  // what one is worth
  int32_t sum;
};

// Where all are smaller they are taken for zeros: the reciprocal would overflow.
constexpr float kTiny = 1e-30f;
inline float inverseUnit(float largest) { return largest > kTiny ? kMostWhole / largest : 0.0f; }
inline float unitOf(float largest) { return largest > kTiny ? largest / kMostWhole : 0.0f; }

template <int vectors> inline int32_t sumOf(const VI* whole) {
  VI sums = whole[0];
  for (int i = 1; i < vectors; i++) sums = addInt(sums, whole[i]);
  return sumLanesInt(sums);
}

template <int vectors> inline Wholes wholesOf(const VF* x, VI* out) {
  VF most = zero();
  for (int i = 0; i < vectors; i++) most = maxOf(abs(x[i]), most);
  const float largest = maxLanes(most);
  for (int i = 0; i < vectors; i++) out[i] = toInt(mul(x[i], set1(inverseUnit(largest))));
  return {unitOf(largest), sumOf<vectors>(out)};
}

// Sums of whole numbers times codes become sums of numbers times levels, which lie around the codes' middle.
template <int bits> inline VF aroundMiddle(VI products, const Wholes& wholes) {
  const VI twice = subInt(addInt(products, products), set1Int(((1 << bits) - 1) * wholes.sum));
  return mul(toFloat(twice), set1(wholes.unit * 0.5f));
}

// A head's query for keyProducts: words of two channels, as `storePairs` leaves them.
struct WholeQuery {
  alignas(64) int16_t channels[kMaxHeadDim];
  Wholes wholes;
};

template <int chunks> inline void wholeQueries(const float* q, int group, WholeQuery* out) {
  for (int g = 0; g < group; g++) {
    VF x[chunks];
    VI whole[chunks];
    for (int i = 0; i < chunks; i++) x[i] = load(q + (g * chunks + i) * 16);
    out[g].wholes = wholesOf<chunks>(x, whole);
    for (int i = 0; i < chunks; i++) storePairs(out[g].channels + i * 16, whole[i]);
  }
}

// Two vectors of words of two codes, out[0] of the first and third code of each word, out[apart] of the second and fourth.
template <int bits, int vector> inline void storePairedCodes(const FourCodes& codes, int32_t* out, int apart) {
  constexpr int pair = 0x10001;
  storeInt(out, codesFrom<bits, vector, pair>(codes));
  storeInt(out + apart, codesFrom<bits, vector, pair, 8>(codes));
}

// Keys' codes of 16 tokens, a token a lane: words * 16 vectors, in the order of a WholeQuery.
template <int chunks> constexpr int kBlockWords = chunks / 2 * 256;

template <int chunks, int tier> inline void keyCodes(const uint8_t* const* planes, int block, int32_t* out) {
  constexpr int bits = kTierBits[tier].key;
  const BlockPlanes<kKeys> at(planes, kTierPlanes[tier], block, chunks * 16);
  for (int line = 0; line < chunks; line += 2)
    overLines<kKeys, bits>(at.at, line, [&]<int vector>(int line, const FourCodes& codes) {
      storePairedCodes<bits, vector>(codes, out + (line * 4 + vector) * 32, 16);
    });
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
    for (int h = 0; h < heads; h++) query[h] = twoShorts(q[h].channels + 2 * i);
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

// Scores of one page, [group][kPageTokens], for rotated queries. Meanwhile the next page is fetched: it lies elsewhere,
// where the processor does not look by itself.
template <int chunks, int tier> void codedScores(const float* q, const WholeQuery* wholes, int group, const KvPage& page, const uint8_t* next, float* scores) {
  constexpr int each = nestedBytes(chunks * 16) / kPageBlocks, together = kBlockVectors, words = kBlockWords<chunks>, bits = kTierBits[tier].key;
  const PartPlace keys = keyPlace(page.pieces, chunks * 16);
  alignas(64) int32_t codes[together * words];
  for (int b = 0; b < kPageBlocks; b += together) {
    for (int i = 0; i < together * each; i += 64) prefetchFar(next + b * each + i);
    for (int i = 0; i < together; i++) keyCodes<chunks, tier>(keys.planes, b + i, codes + i * words);
    blockProducts<chunks / 2, bits, together>(wholes, group, codes, scores + b * 16);
  }
  scaleScores<chunks>(q, group, keys, page.means, bits, scores);
}

// A head's weights, of either half of the channels.
struct WholeWeights {
  alignas(64) int16_t tokens[2][kPageTokens];  // words of two tokens, as `storePairs` leaves them
  Wholes wholes[2];
};

template <int chunks> inline void addMean(const VF* mean, float total, float* out) {
  for (int c = 0; c < chunks; c++) store(out + c * 16, fma(set1(total), mean[c], load(out + c * 16)));
}

template <int chunks> inline void meanOf(const uint16_t* mean, VF* out) {
  for (int c = 0; c < chunks; c++) out[c] = loadHalf(mean + c * 16);
}

// out += probabilities [group][kPageTokens] times the values' mean.
template <int chunks> inline void addMeans(const float* p, int group, const PartPlace& values, const BlockMeans* means, float* out) {
  VF mean[chunks];
  if (means == nullptr) {
    alignas(64) float totals[16];
    VF sums[16];
    for (int g = 0; g < 16; g++) sums[g] = zero();
    for (int g = 0; g < group; g++)
      for (int t = 0; t < kPageTokens; t += 16) sums[g] = add(sums[g], load(p + g * kPageTokens + t));
    sumLanes16(sums, totals);
    meanOf<chunks>(values.mean, mean);
    for (int g = 0; g < group; g++) addMean<chunks>(mean, totals[g], out + g * chunks * 16);
    return;
  }
  alignas(64) float totals[kMaxGroup][16];
  for (int g = 0; g < group; g++) {
    VF ofBlocks[16];
    for (int b = 0; b < kPageBlocks; b++) ofBlocks[b] = load(p + g * kPageTokens + b * 16), ofBlocks[kPageBlocks + b] = zero();
    sumLanes16(ofBlocks, totals[g]);
  }
  for (int b = 0; b < kPageBlocks; b++) {
    meanOf<chunks>(means[b].values, mean);
    for (int g = 0; g < group; g++) addMean<chunks>(mean, totals[g][b], out + g * chunks * 16);
  }
}

// put(head, half of the channels, weights [kPageBlocks], what one is worth): probabilities [group][kPageTokens] times the steps of
// that half, as whole numbers.
template <class Put> inline void wholeWeights(const float* p, int group, const PartPlace& values, int bits, Put put) {
  const VF coarser = set1(static_cast<float>(1 << (8 - bits)));
  VF steps[2][kPageBlocks];
  for (int i = 0; i < 2 * kPageBlocks; i++) steps[i / kPageBlocks][i % kPageBlocks] = mul(loadHalf(values.scales + i * 16), coarser);
  for (int first = 0; first < group; first += 8, p += 8 * kPageTokens) {
    const int heads = group - first < 8 ? group - first : 8;
    alignas(64) float largest[16];
    VF most[16];
    for (int i = 0; i < 16; i++) most[i] = zero();
    for (int g = 0; g < heads; g++)
      for (int b = 0; b < kPageBlocks; b++) {
        const VF probability = load(p + g * kPageTokens + b * 16);
        for (int half = 0; half < 2; half++) most[2 * g + half] = maxOf(mul(probability, steps[half][b]), most[2 * g + half]);
      }
    maxLanes16(most, largest);
    for (int i = 0; i < 2 * heads; i++) {
      VI whole[kPageBlocks];
      for (int b = 0; b < kPageBlocks; b++)
        whole[b] = toInt(mul(mul(load(p + i / 2 * kPageTokens + b * 16), steps[i % 2][b]), set1(inverseUnit(largest[i]))));
      put(first + i / 2, i % 2, whole, unitOf(largest[i]));
    }
  }
}

inline void pairedWeights(const float* p, int group, const PartPlace& values, int bits, WholeWeights* weights) {
  wholeWeights(p, group, values, bits, [&](int g, int half, const VI* whole, float unit) {
    for (int i = 0; i < kPageBlocks; i++) storePairs(weights[g].tokens[half] + i * 16, whole[i]);
    weights[g].wholes[half] = {unit, sumOf<kPageBlocks>(whole)};
  });
}

// How the vectors of a page's values are taken: strips of 64 channels or less, of which `vectors` hold two tokens.
template <int chunks> constexpr int kStripVectors = chunks < 4 ? chunks : 4;
template <int chunks> constexpr int kStripWords = kPageTokens / 2 * kStripVectors<chunks> * 16;

// Values' codes of one strip, [pairs of tokens][vectors].
template <int chunks, int tier> inline void valueCodes(const uint8_t* const* planes, int strip, int32_t* out) {
  constexpr int vectors = kStripVectors<chunks>, bits = kTierBits[tier].value;
  for (int b = 0; b < kPageBlocks; b++, out += 8 * vectors * 16) {
    const BlockPlanes<kValues> at(planes, kTierPlanes[tier], b, chunks * 16);
    for (int i = 0; i < vectors; i += 2)
      overLines<kValues, bits>(at.at, strip * 4 + i, [&]<int quad>(int line, const FourCodes& codes) {
        storePairedCodes<bits, quad>(codes, out + (quad * 2 * vectors + line % 4) * 16, vectors * 16);
      });
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
      weights[h / halves][h % halves] = twoShorts(w[h / halves].tokens[firstHalf + h % halves] + pair * 2);
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
template <int chunks, int tier> void codedValues(const float* p, int group, const KvPage& page, float* out) {
  constexpr int bits = kTierBits[tier].value;
  const PartPlace values = valuePlace(page.pieces, chunks * 16);
  alignas(64) int32_t codes[kStripWords<chunks>];
  WholeWeights weights[kMaxGroup];
  addMeans<chunks>(p, group, values, page.means, out);
  pairedWeights(p, group, values, bits, weights);
  for (int strip = 0; strip * 4 < chunks; strip++) {
    valueCodes<chunks, tier>(values.planes, strip, codes);
    stripProducts<chunks, bits>(weights, group, codes, strip, out);
  }
}

template <int chunks> void codedPageScores(const float* q, const WholeQuery* wholes, int group, const KvPage& page, const KvPage& next, float* scores) {
  const uint8_t* const after = next.tier == 0 ? page.pieces[0] : next.pieces[0];
  if (page.tier == 1) return codedScores<chunks, 1>(q, wholes, group, page, after, scores);
  if (page.tier == 2) return codedScores<chunks, 2>(q, wholes, group, page, after, scores);
  return codedScores<chunks, 3>(q, wholes, group, page, after, scores);
}

template <int chunks> void codedPageValues(const float* p, int group, const KvPage& page, float* out) {
  if (page.tier == 1) return codedValues<chunks, 1>(p, group, page, out);
  if (page.tier == 2) return codedValues<chunks, 2>(p, group, page, out);
  return codedValues<chunks, 3>(p, group, page, out);
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
    memcpy(keys_.scales + count_ * 16, keys.scales + block * 16, 32);
    for (int half = 0; half < 2; half++) memcpy(values_.scales + half * kPageTokens + count_ * 16, values.scales + half * kPageTokens + block * 16, 32);
    for (int i = 0; i < kTierPlanes[from.tier]; i++) copyPlane(kKeys, i, keys, block, keys_), copyPlane(kValues, i, values, block, values_);
    page_.tier = from.tier;
    means_[count_++] = {keys.mean, values.mean};
  }

  // What was added, as a page whose other tokens are to be masked. Then it is empty.
  const KvPage& take() {
    for (int b = count_; b < kPageBlocks; b++) {
      memset(keys_.scales + b * 16, 0, 32);
      for (int half = 0; half < 2; half++) memset(values_.scales + half * kPageTokens + b * 16, 0, 32);
      means_[b] = means_[0];
    }
    count_ = 0;
    return page_;
  }

 private:
  static constexpr int kPlane = kPageTokens * headDim / 8;  // of single bits

  void copyPlane(Part part, int i, const PartPlace& from, int block, const PartPlace& to) {
    const int bytes = planeBlockBytes(part, i, headDim);
    memcpy(to.planes[i] + count_ * bytes, from.planes[i] + block * bytes, static_cast<size_t>(bytes));
  }

  alignas(64) uint8_t memory_[nestedBytes(headDim) + 9 * kPlane];
  BlockMeans means_[kPageBlocks];
  KvPage page_{nullptr, nullptr, {memory_, memory_ + nestedBytes(headDim), memory_ + nestedBytes(headDim) + 2 * kPlane}, 0, 0, means_};
  const PartPlace keys_ = keyPlace(page_.pieces, headDim), values_ = valuePlace(page_.pieces, headDim);
  int count_ = 0;
};

// What every tier has of those blocks of a page that are read.
template <int headDim> inline void prefetchBlocks(const KvPage& page) {
  const PartPlace keys = keyPlace(page.pieces, headDim), values = valuePlace(page.pieces, headDim);
  auto prefetch = [](const void* first, int bytes) {
    for (int i = 0; i < bytes; i += 64) prefetchFar(static_cast<const uint8_t*>(first) + i);
  };
  prefetch(keys.mean, 2 * headDim), prefetch(values.mean, 2 * headDim);
  for (int b = 0; b < kPageBlocks; b++) {
    if (!(page.blocks >> b & 1)) continue;
    prefetch(keys.scales + b * 16, 1);
    for (int half = 0; half < 2; half++) prefetch(values.scales + half * kPageTokens + b * 16, 1);
    for (int i = 0; i < kTierPlanes[3]; i++) {
      const int ofKeys = planeBlockBytes(kKeys, i, headDim), ofValues = planeBlockBytes(kValues, i, headDim);
      prefetch(keys.planes[i] + b * ofKeys, ofKeys), prefetch(values.planes[i] + b * ofValues, ofValues);
    }
  }
}

}  // namespace
