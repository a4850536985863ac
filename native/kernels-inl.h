// Every kernel, written once over the sixteen lanes of a vec_*.h; each isa_*.cc includes it with its own.
// No order of additions depends on the number of tokens, so a token's result never depends on its batch.
#pragma once
#include "exponential-inl.h"
#include "format.h"
#include "kernels.h"
#include "kv-inl.h"

namespace {

// ---- activations

// Below this a group is stored as zeros: the reciprocal of its scale would overflow.
constexpr float kTinyGroup = 1e-30f;

void quantiseBlock(const float* x, ActBlock* out) {
  for (int g = 0; g < 8; g++) {
    const VF a = load(x + g * 32), b = load(x + g * 32 + 16);
    const float largest = maxLanes(maxOf(abs(a), abs(b)));
    const bool tiny = !(largest > kTinyGroup);
    const VF inverse = set1(tiny ? 0.0f : 127.0f / largest);
    storeLane(out->values, 2 * g, toInt(mul(a, inverse)));
    storeLane(out->values, 2 * g + 1, toInt(mul(b, inverse)));
    out->scale[2 * g] = out->scale[2 * g + 1] = tiny ? 0.0f : largest / 127.0f;
  }
  VI sum = zeroInt();
  for (int j = 0; j < 4; j++) sum = dot(sum, ones(), loadBytes(out->values[j]));
  storeInt(out->sum, sum);
  store(out->scaledSum, mul(load(out->scale), toFloat(sum)));
}

void quantise(const float* x, int columns, ActBlock* out) {
  const int whole = columns / kBlock;
  for (int b = 0; b < whole; b++) quantiseBlock(x + b * kBlock, out + b);
  if (whole * kBlock == columns) return;
  alignas(64) float tail[kBlock] = {};
  memcpy(tail, x + whole * kBlock, static_cast<size_t>(columns - whole * kBlock) * 4);
  quantiseBlock(tail, out + whole);
}

// ---- packed matrices

// 256 weights of one row, ready for the dot products: codes in lane order, each lane's scale.
template <int format> struct RowBlock {
  VB codes[4];
  VF scale;
};
template <> struct RowBlock<Q4_K> { VB codes[4]; VF scale, min; };
template <> struct RowBlock<Q5_K> { VB codes[4]; VF scale, min; };

// What all rows share of one activation block.
struct Act {
  VB values[4];
  VI start;  // of the integer dot product: what turns unsigned codes into signed ones
  VF scale, scaledSum;
};

template <int format> inline Act loadAct(const ActBlock* x) {
  Act act;
  for (int j = 0; j < 4; j++) act.values[j] = loadBytes(x->values[j]);
  act.scale = load(x->scale);
  if constexpr (format == Q4_0) act.start = minusShifted<3>(loadInt(x->sum));
  if constexpr (format == Q6_K) act.start = minusShifted<5>(loadInt(x->sum));
  if constexpr (format == Q8_0) act.start = signedStart(loadInt(x->sum));
  if constexpr (format == Q4_K || format == Q5_K) {
    act.start = zeroInt();
    act.scaledSum = load(x->scaledSum);
  }
  return act;
}

template <int format> inline VF accumulate(const RowBlock<format>& w, const Act& x, VF acc) {
  VI products = x.start;
  for (int j = 0; j < 4; j++) products = format == Q8_0 ? dotSigned(products, w.codes[j], x.values[j]) : dot(products, w.codes[j], x.values[j]);
  acc = fma(toFloat(products), mul(w.scale, x.scale), acc);
  if constexpr (format == Q4_K || format == Q5_K) acc = fnma(w.min, x.scaledSum, acc);
  return acc;
}

template <int format> inline RowBlock<format> unpackRow(const uint8_t* block, int row) {
  RowBlock<format> w;
  if constexpr (format == Q8_0) {
    for (int j = 0; j < 4; j++) w.codes[j] = loadBytes(block + row * 256 + j * 64);
    w.scale = pairsOfHalfs(block + kQ8Scales + row * 16);
    return w;
  }
  const uint8_t* nibbles = block + row * (format == Q6_K ? kQ6kRow : 128);
  for (int j = 0; j < 2; j++) {
    const VB both = loadBytes(nibbles + j * 64);
    w.codes[j] = lowNibbles(both);
    w.codes[j + 2] = highNibbles(both);
  }
  if constexpr (format == Q4_0) w.scale = pairsOfHalfs(block + kQ4Scales + row * 16);
  if constexpr (format == Q5_K)
    for (int j = 0; j < 4; j++) w.codes[j] = withBit<4>(w.codes[j], block + kQ5kFifth + row * 32 + j * 8);
  if constexpr (format == Q4_K || format == Q5_K) {
    const uint8_t* s = block + (format == Q5_K ? kQ5kShift : 0);
    const VF both = kScales(s + kQ4kSmall + row * 8, readU32(s + kQ4kLarge + row * 4), halfAt(s + kQ4kD + row * 2), halfAt(s + kQ4kDmin + row * 2));
    w.scale = pairs<0>(both);
    w.min = pairs<8>(both);
  }
  if constexpr (format == Q6_K) {
    const VB upper = loadBytes(nibbles + kQ6kUpper);
    w.codes[0] = withUpper<0>(w.codes[0], upper);
    w.codes[1] = withUpper<2>(w.codes[1], upper);
    w.codes[2] = withUpper<4>(w.codes[2], upper);
    w.codes[3] = withUpper<6>(w.codes[3], upper);
    w.scale = q6Scales(block + kQ6kScales + row * 16, halfAt(block + kQ6kD + row * 2));
  }
  return w;
}

// Far enough ahead of the loads to cover memory latency at full rate.
constexpr int kLinesAhead = 2048, kPagesAhead = 2 * 4096;
constexpr int kPageHead = 256;

inline void fetchPageHead(const uint8_t* p) {
  const auto page = (reinterpret_cast<uintptr_t>(p) + kPagesAhead) & ~uintptr_t{4095};
  for (int i = 0; i < kPageHead; i += 64) prefetchFar(reinterpret_cast<const uint8_t*>(page) + i);
}

// One panel, one token: weights go from memory through registers once.
template <int format, Fetch fetch> void gemv(const uint8_t* panel, int blocks, const ActBlock* x, float* out) {
  constexpr int bytes = kGeometry[format].bytes, rowBytes = bytes / 16;
  VF acc[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; r++) acc[r] = zero();
  for (int b = 0; b < blocks; b++, panel += bytes, x++) {
    const Act act = loadAct<format>(x);
    if constexpr (fetch == Fetch::kPageHeads) fetchPageHead(panel);
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) {
      if constexpr (fetch == Fetch::kLines) {
#pragma GCC unroll 5
        for (int line = r * rowBytes / 64; line < (r + 1) * rowBytes / 64; line++) prefetch(panel + kLinesAhead + line * 64);
      }
      acc[r] = accumulate<format>(unpackRow<format>(panel, r), act, acc[r]);
    }
  }
  sumLanes16(acc, out);
}

// rows x tokens of an unpacked panel; w is [block][16 rows], already at the tile's first row.
template <int format, int rows, int tokens>
inline void gemmTile(const RowBlock<format>* w, int blocks, const ActBlock* const* x, float* out) {
  VF acc[rows * tokens];
#pragma GCC unroll 16
  for (int i = 0; i < rows * tokens; i++) acc[i] = zero();
  for (int b = 0; b < blocks; b++, w += 16) {
    Act act[tokens];
#pragma GCC unroll 4
    for (int t = 0; t < tokens; t++) act[t] = loadAct<format>(x[t] + b);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
      for (int t = 0; t < tokens; t++) acc[t * rows + r] = accumulate<format>(w[r], act[t], acc[t * rows + r]);
    }
  }
  if constexpr (rows * tokens == 16) {
    alignas(64) float sums[16];
    sumLanes16(acc, sums);
    for (int t = 0; t < tokens; t++) memcpy(out + t * 16, sums + t * rows, rows * 4);
  } else {
    for (int t = 0; t < tokens; t++)
      for (int r = 0; r < rows; r++) out[t * 16 + r] = sumLanes(acc[t * rows + r]);
  }
}

// Tokens whose activations stay in the second-level cache while the panels pass over them.
constexpr int kTokenBlock = 64;
// From this many tokens on, unpacking first is cheaper than unpacking for each.
constexpr int kUnpackTokens = 3;

template <int format>
void matmulFormat(const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out, uint8_t* scratch) {
  const int blocks = (columns + kBlock - 1) / kBlock;
  const int64_t panelBytes = static_cast<int64_t>(blocks) * kGeometry[format].bytes;
  if (tokens < kUnpackTokens) {
    const auto product = fetch == Fetch::kLines ? gemv<format, Fetch::kLines> : gemv<format, Fetch::kPageHeads>;
    for (int p = 0; p < panels; p++)
      for (int t = 0; t < tokens; t++) product(first + p * panelBytes, blocks, x[t], out + (p * tokens + t) * 16);
    return;
  }
  auto* unpacked = reinterpret_cast<RowBlock<format>*>((reinterpret_cast<uintptr_t>(scratch) + 63) & ~uintptr_t{63});
  for (int i = 0; i < panels * blocks; i++)
    for (int r = 0; r < 16; r++) unpacked[i * 16 + r] = unpackRow<format>(first + static_cast<int64_t>(i) * kGeometry[format].bytes, r);
  const int64_t aheadBytes = panels * panelBytes, tiles = panels * (16 / kGemmRows) * ((tokens + kGemmTokens - 1) / kGemmTokens);
  const int64_t perTile = (aheadBytes / tiles + 63) / 64 * 64;
  const uint8_t* const aheadEnd = ahead + aheadBytes;
  for (int t0 = 0; t0 < tokens; t0 += kTokenBlock) {
    const int t1 = t0 + kTokenBlock < tokens ? t0 + kTokenBlock : tokens;
    for (int p = 0; p < panels; p++) {
      for (int r = 0; r < 16; r += kGemmRows) {
        const RowBlock<format>* w = unpacked + p * blocks * 16 + r;
        float* o = out + p * tokens * 16 + r;
        int t = t0;
        for (; t + kGemmTokens <= t1; t += kGemmTokens) {
          for (int64_t i = 0; i < perTile && ahead < aheadEnd; i += 64, ahead += 64) prefetchFar(ahead);
          gemmTile<format, kGemmRows, kGemmTokens>(w, blocks, x + t, o + t * 16);
        }
        for (; t < t1; t++) gemmTile<format, kGemmRows, 1>(w, blocks, x + t, o + t * 16);
      }
    }
  }
}

void matmul(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out, uint8_t* scratch) {
  switch (format) {
    case Q4_0: return matmulFormat<Q4_0>(first, panels, columns, x, tokens, fetch, ahead, out, scratch);
    case Q8_0: return matmulFormat<Q8_0>(first, panels, columns, x, tokens, fetch, ahead, out, scratch);
    case Q4_K: return matmulFormat<Q4_K>(first, panels, columns, x, tokens, fetch, ahead, out, scratch);
    case Q5_K: return matmulFormat<Q5_K>(first, panels, columns, x, tokens, fetch, ahead, out, scratch);
    default: return matmulFormat<Q6_K>(first, panels, columns, x, tokens, fetch, ahead, out, scratch);
  }
}

// ---- plain matrices

template <int format> inline VF plain16(const uint8_t* row, int k) {
  if constexpr (format == F32) return load(reinterpret_cast<const float*>(row) + k);
  if constexpr (format == F16) return loadHalf(reinterpret_cast<const uint16_t*>(row) + k);
  return loadBf16(reinterpret_cast<const uint16_t*>(row) + k);
}

template <int format, int tokens>
inline void plainTile(const uint8_t* row, int columns, const float* const* x, float* out, int outStride) {
  VF acc[tokens];
  for (int t = 0; t < tokens; t++) acc[t] = zero();
  for (int k = 0; k < columns; k += 16) {
    const VF w = plain16<format>(row, k);
    for (int t = 0; t < tokens; t++) acc[t] = fma(w, load(x[t] + k), acc[t]);
  }
  for (int t = 0; t < tokens; t++) out[t * outStride] = sumLanes(acc[t]);
}

template <int format>
void plainFormat(const uint8_t* weights, int columns, int row0, int row1, const float* const* x, int tokens, float* out, int outStride) {
  const int64_t rowBytes = static_cast<int64_t>(columns) * kGeometry[format].bytes;
  for (int r = row0; r < row1; r++) {
    const uint8_t* row = weights + r * rowBytes;
    float* o = out + (r - row0);
    int t = 0;
    for (; t + 4 <= tokens; t += 4) plainTile<format, 4>(row, columns, x + t, o + t * outStride, outStride);
    for (; t < tokens; t++) plainTile<format, 1>(row, columns, x + t, o + t * outStride, outStride);
  }
}

void matmulPlain(int format, const uint8_t* weights, int columns, int row0, int row1, const float* const* x, int tokens, float* out, int outStride) {
  if (format == F32) return plainFormat<F32>(weights, columns, row0, row1, x, tokens, out, outStride);
  if (format == F16) return plainFormat<F16>(weights, columns, row0, row1, x, tokens, out, outStride);
  return plainFormat<BF16>(weights, columns, row0, row1, x, tokens, out, outStride);
}

// ---- vectors

inline float squareRoot(float x) { return __builtin_sqrtf(x); }

inline float rmsFactor(const float* x, int n, float epsilon) {
  VF squares = zero();
  for (int i = 0; i < n; i += 16) squares = fma(load(x + i), load(x + i), squares);
  return 1.0f / squareRoot(sumLanes(squares) / static_cast<float>(n) + epsilon);
}

void rmsNorm(const float* x, const float* weight, int n, float epsilon, float* out) {
  const VF factor = set1(rmsFactor(x, n, epsilon));
  for (int i = 0; i < n; i += 16) store(out + i, mul(mul(load(x + i), factor), load(weight + i)));
}

void normRope(float* head, const float* weight, const float* cos, const float* sin, int headDim, float epsilon) {
  rmsNorm(head, weight, headDim, epsilon, head);
  const int half = headDim / 2;
  for (int i = 0; i < half; i += 16) {
    const VF a = load(head + i), b = load(head + half + i), c = load(cos + i), s = load(sin + i);
    store(head + i, fnma(b, s, mul(a, c)));
    store(head + half + i, fma(a, s, mul(b, c)));
  }
}

void storeHalfRow(const float* x, int n, uint16_t* out) {
  for (int i = 0; i < n; i += 16) storeHalf16(out + i, load(x + i));
}

void siluMultiply(float* gate, const float* up, int n) {
  const VF one = set1(1.0f);
  for (int i = 0; i < n; i += 16) {
    const VF g = load(gate + i), e = exponential(sub(zero(), g));
    store(gate + i, mul(div(g, add(one, e)), load(up + i)));
  }
}

void addWeighted(float* y, const float* const* x, const float* weight, int count, int n) {
  for (int i = 0; i < n; i += 16) {
    VF sum = zero();
    for (int j = 0; j < count; j++) sum = fma(set1(weight[j]), load(x[j] + i), sum);
    store(y + i, add(load(y + i), sum));
  }
}

// ---- attention

constexpr float kMasked = -1e30f;

// Scores of one page: [group][kPageTokens]; keys beyond the context are masked. Dot products are summed 16 at a time.
template <int chunks> inline void pageScores(const float* q, int group, const uint16_t* keys, int count, float* scores) {
  VF waiting[16];
  alignas(64) float sums[16];
  int first = 0;  // of the waiting products, counted key by key
  auto flush = [&](int n) {
    sumLanes16(waiting, sums);
    for (int i = 0; i < n; i++) scores[(first + i) % group * kPageTokens + (first + i) / group] = sums[i];
    first += n;
  };
  for (int i = 0; i < 16; i++) waiting[i] = zero();
  for (int t = 0, n = 0; t < count; t++) {
    VF k[chunks];
    for (int c = 0; c < chunks; c++) k[c] = loadHalf(keys + (t * chunks + c) * 16);
    for (int g = 0; g < group; g++) {
      VF s = mul(load(q + g * chunks * 16), k[0]);
      for (int c = 1; c < chunks; c++) s = fma(load(q + (g * chunks + c) * 16), k[c], s);
      waiting[n++] = s;
      if (n == 16) flush(16), n = 0;
    }
    if (t == count - 1) flush(n);
  }
  for (int g = 0; g < group; g++)
    for (int t = count; t < kPageTokens; t++) scores[g * kPageTokens + t] = kMasked;
}

// out += probabilities of one page times its values, for `heads` heads, 16 columns of the head at a time.
template <int heads> inline void headValues(const float* p, int headDim, const uint16_t* values, int count, float* out) {
  for (int d = 0; d < headDim; d += 16) {
    VF acc[heads];
    for (int g = 0; g < heads; g++) acc[g] = load(out + g * headDim + d);
    for (int t = 0; t < count; t++) {
      const VF v = loadHalf(values + t * headDim + d);
      for (int g = 0; g < heads; g++) acc[g] = fma(set1(p[g * kPageTokens + t]), v, acc[g]);
    }
    for (int g = 0; g < heads; g++) store(out + g * headDim + d, acc[g]);
  }
}

inline void pageValues(const float* p, int group, int headDim, const uint16_t* values, int count, float* out) {
  int g = 0;
  for (; g + 8 <= group; g += 8) headValues<8>(p + g * kPageTokens, headDim, values, count, out + g * headDim);
  for (; g < group; g++) headValues<1>(p + g * kPageTokens, headDim, values, count, out + g * headDim);
}

// Online softmax, page by page in order (Milakov and Gimelshein 2018), so that the result does not depend on chunking.
template <int chunks> void attendChunks(const float* q, int group, const KvPage* pages, int context, Gathered* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float scores[kMaxGroup * kPageTokens];
  const int width = group * headDim;
  float* sums[2] = {out->sums, out->sums + width};  // plain, rotated
  for (int g = 0; g < group; g++) out->largest[g] = kMasked, out->total[g] = 0;
  memset(sums[0], 0, static_cast<size_t>(2) * width * 4);
  for (int start = 0; start < context; start += kPageTokens, pages++) {
    const int count = context - start < kPageTokens ? context - start : kPageTokens;
    if (pages->tier == 0) pageScores<chunks>(q, group, pages->keys, count, scores);
    else codedPageScores<chunks>(q + width, group, *pages, scores);
    for (int g = 0; g < group; g++) {
      float* s = scores + g * kPageTokens;
      VF m = set1(out->largest[g]);
      for (int t = 0; t < kPageTokens; t += 16) m = maxOf(m, load(s + t));
      const float next = maxLanes(m);
      for (int t = 0; t < kPageTokens; t += 16) store(s + t, exponential(sub(load(s + t), set1(next))));
      // A masked score weighs nothing at all, not the smallest exponential.
      for (int t = count; t < kPageTokens; t++) s[t] = 0;
      VF sum = zero();
      for (int t = 0; t < kPageTokens; t += 16) sum = add(sum, load(s + t));
      float shrink[16];
      store(shrink, exponential(set1(out->largest[g] - next)));
      out->total[g] = out->total[g] * shrink[0] + sumLanes(sum);
      out->largest[g] = next;
      for (float* part : sums)
        for (int i = 0; i < headDim; i += 16) store(part + g * headDim + i, mul(load(part + g * headDim + i), set1(shrink[0])));
    }
    if (pages->tier == 0) pageValues(scores, group, headDim, pages->values, count, sums[0]);
    else codedPageValues<chunks>(scores, group, *pages, sums[1]);
  }
}

void attend(const float* q, int group, int headDim, const KvPage* pages, int context, Gathered* out) {
  switch (headDim) {
    case 32: return attendChunks<2>(q, group, pages, context, out);
    case 64: return attendChunks<4>(q, group, pages, context, out);
    default: return attendChunks<8>(q, group, pages, context, out);
  }
}

void merge(Gathered* into, const Gathered* from, int group, int headDim) {
  for (int g = 0; g < group; g++) {
    const float next = into->largest[g] > from->largest[g] ? into->largest[g] : from->largest[g];
    const VF mine = exponential(set1(into->largest[g] - next)), others = exponential(set1(from->largest[g] - next));
    float shrink[2][16];
    store(shrink[0], mine);
    store(shrink[1], others);
    into->total[g] = into->total[g] * shrink[0][0] + from->total[g] * shrink[1][0];
    into->largest[g] = next;
    for (int part = 0; part < 2; part++)
      for (int i = 0; i < headDim; i += 16) {
        const int at = (part * group + g) * headDim + i;
        store(into->sums + at, fma(load(from->sums + at), others, mul(load(into->sums + at), mine)));
      }
  }
}

void finish(Gathered* from, int group, int headDim, bool coded, float* out) {
  for (int g = 0; g < group; g++) {
    float* rotated = from->sums + (group + g) * headDim;
    if (coded) rotate(rotated, headDim);
    const VF inverse = set1(1.0f / from->total[g]);
    for (int i = 0; i < headDim; i += 16) {
      const VF plain = load(from->sums + g * headDim + i);
      store(out + g * headDim + i, mul(coded ? add(plain, load(rotated + i)) : plain, inverse));
    }
  }
}

uint64_t readAll(const uint8_t* p, int64_t bytes) {
  VI a = zeroInt(), b = a, c = a, d = a;
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
    const int32_t* w = reinterpret_cast<const int32_t*>(p + i);
    a = addInt(a, loadInt(w)), b = addInt(b, loadInt(w + 16));
    c = addInt(c, loadInt(w + 32)), d = addInt(d, loadInt(w + 48));
  }
  alignas(64) int32_t sums[16];
  storeInt(sums, addInt(addInt(a, b), addInt(c, d)));
  uint64_t total = 0;
  for (int i = 0; i < 16; i++) total += static_cast<uint32_t>(sums[i]);
  return total;
}

constexpr Kernels tableOf(const char* name) {
  return {name, quantise, rmsNorm, matmul, matmulPlain, normRope, storeHalfRow, encodePage, rotate, attend, merge, finish, siluMultiply, addWeighted, readAll};
}

}  // namespace
