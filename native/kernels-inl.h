// Every kernel, written once over the sixteen lanes of a vec_*.h; each isa_*.cc includes it with its own.
// No order of additions depends on the number of tokens, so a token's result never depends on its batch.
#pragma once
#include "attend-inl.h"
#include "blocks-inl.h"
#include "codes-inl.h"
#include "exponential-inl.h"
#include "kernels.h"
#include "kv-inl.h"
#include "largest-inl.h"
#include "peaks-inl.h"
#include "prefill-inl.h"
#include "scan-inl.h"
#include "softmax-inl.h"

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
    storeBytes(out->values + g * 32, toInt(mul(a, inverse)));
    storeBytes(out->values + g * 32 + 16, toInt(mul(b, inverse)));
    out->scale[g] = tiny ? 0.0f : largest / 127.0f;
  }
  alignas(64) int32_t words[64], sums[16];
  for (int i = 0; i < 4; i++) storeInt(words + i * 16, dot(zeroInt(), ones(), loadBytes(out->values + i * 64)));
  for (int i = 0; i < 16; i++) {
    sums[i] = words[4 * i] + words[4 * i + 1] + words[4 * i + 2] + words[4 * i + 3];
    out->startQ6_K[i] = -32 * sums[i];
  }
  for (int g = 0; g < 8; g++) {
    const int32_t sum = sums[2 * g] + sums[2 * g + 1];
    out->startQ4_0[g] = -8 * sum;
    out->startQ8_0[g] = -128 * sum;
    out->scaledSum[g] = out->scale[g] * static_cast<float>(sum);
  }
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

template <int format> inline VI startOf(const ActBlock& x, int group) {
  if constexpr (format == Q4_0 || format == Q4_S) return set1Int(x.startQ4_0[group]);
  if constexpr (format == Q8_0) return signedStart(x.startQ8_0[group]);
  if constexpr (format == Q6_K) return set1Int(x.startQ6_K[group]);
  return zeroInt();
}

// acc + a group's sum of whole numbers, scaled; less its minimum times the activations' sum.
template <int format> inline VF addGroup(VF acc, VI sum, VF scale, VF min, const ActBlock& x, int group) {
  const int g = group * kGroup<format> / 32;
  acc = fma(toFloat(sum), mul(scale, set1(x.scale[g])), acc);
  return format == Q4_K || format == Q5_K ? fnma(min, set1(x.scaledSum[g]), acc) : acc;
}

template <int format> inline VI dotOf(VI acc, VB codes, VB x) { return format == Q8_0 ? dotSigned(acc, codes, x) : dot(acc, codes, x); }

// Far enough ahead of the loads to cover memory latency at full rate.
template <int format> constexpr int kBlocksAhead = (4096 + kGeometry[format].bytes - 1) / kGeometry[format].bytes;
constexpr int kNear = 2048;
constexpr int kPagesAhead = 2 * 4096;
constexpr int kPageHead = 256;
constexpr int kPagesEntered = 3 * 4096;

// A page's first line, so that its place is known before its other lines are fetched.
inline void enterPage(const uint8_t* line) {
  if ((reinterpret_cast<uintptr_t>(line) & 4095) < 64) prefetchFar(line);
}

inline void fetchPageHead(const uint8_t* p) {
  const auto page = (reinterpret_cast<uintptr_t>(p) + kPagesAhead) & ~uintptr_t{4095};
  for (int i = 0; i < kPageHead; i += 64) prefetchFar(reinterpret_cast<const uint8_t*>(page) + i);
}

// Blocks [from, to) of one panel over a few tokens, added to out[token][16]: weights are unpacked in registers, once for all
// of them. A lane is a row, and its sum adds groups in ascending order, whatever the number of tokens and wherever blocks
// are parted. Very few tokens have two chains of integer sums, since one would wait for its own results. Meanwhile what lies
// at `ahead` is fetched, as much as is read, group by group: at once it would stand in the way of the loads.
template <int format, int tokens, Fetch fetch>
void stream(const uint8_t* panel, int from, int to, const ActBlock* const* x, const uint8_t* ahead, float* out) {
  constexpr int bytes = kGeometry[format].bytes, groups = kBlock / kGroup<format>, planes = 32 / groups;
  constexpr int chains = tokens < 4 ? 2 : 1;
  VF acc[tokens];
#pragma GCC unroll 16
  for (int t = 0; t < tokens; t++) acc[t] = from == 0 ? zero() : load(out + t * 16);
  panel += static_cast<int64_t>(from) * bytes;
  for (int b = from; b < to; b++, panel += bytes) {
    if constexpr (fetch == Fetch::kPageHeads) fetchPageHead(panel);
    for (int g = 0; g < groups; g++) {
      if constexpr (fetch != Fetch::kPageHeads)
        for (int line = g * bytes / groups / 64; line < (g + 1) * bytes / groups / 64; line++, ahead += 64) {
          if constexpr (fetch == Fetch::kLines) prefetchFar(ahead), prefetch(panel + line * 64 + kNear);
          else prefetch(ahead), enterPage(ahead + kPagesEntered);
        }
      VI sum[tokens][chains];
#pragma GCC unroll 16
      for (int t = 0; t < tokens; t++) {
        sum[t][chains - 1] = zeroInt();
        sum[t][0] = startOf<format>(x[t][b], g);
      }
#pragma GCC unroll 4
      for (int i = 0; i < planes; i++) {
        const int p = g * planes + i;
        const Codes codes = codesOf<format>(panel, p);
#pragma GCC unroll 16
        for (int t = 0; t < tokens; t++) sum[t][0] = dotOf<format>(sum[t][0], codes.even, fourBytes(x[t][b].values + p * 8));
#pragma GCC unroll 16
        for (int t = 0; t < tokens; t++) sum[t][chains - 1] = dotOf<format>(sum[t][chains - 1], codes.odd, fourBytes(x[t][b].values + p * 8 + 4));
      }
      const Scales s = scalesOf<format>(panel, g);
#pragma GCC unroll 16
      for (int t = 0; t < tokens; t++)
        acc[t] = addGroup<format>(acc[t], chains == 2 ? addInt(sum[t][0], sum[t][1]) : sum[t][0], s.scale, s.min, x[t][b], g);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < tokens; t++) store(out + t * 16, acc[t]);
}

using Stream = void (*)(const uint8_t* panel, int from, int to, const ActBlock* const* x, const uint8_t* ahead, float* out);

// From so many tokens on it costs less to unpack a block once for all of them.
constexpr int kFewestUnpacked = 2 * kStreamTokens + 1;

template <int format, int most> Stream streamFor(int tokens, Fetch fetch) {
  if constexpr (most > 1) return tokens < most ? streamFor<format, most - 1>(tokens, fetch) : stream<format, most, Fetch::kLinesAndPages>;
  else if (fetch == Fetch::kLines) return stream<format, 1, Fetch::kLines>;
  else return fetch == Fetch::kPageHeads ? stream<format, 1, Fetch::kPageHeads> : stream<format, 1, Fetch::kLinesAndPages>;
}

// Panels one after another, each with at most kStreamTokens tokens at once.
template <int format>
void multiplyFew(const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out) {
  constexpr int64_t bytes = kGeometry[format].bytes;
  const int blocks = (columns + kBlock - 1) / kBlock, later = blocks < kBlocksAhead<format> ? blocks : kBlocksAhead<format>;
  const int tiles = (tokens + kStreamTokens - 1) / kStreamTokens;
  for (int p = 0; p < panels; p++, first += blocks * bytes)
    for (int i = 0; i < tiles; i++) {
      const int t0 = tokens * i / tiles, t1 = tokens * (i + 1) / tiles, own = p == panels - 1 ? blocks - later : blocks;
      const Stream product = streamFor<format, kStreamTokens>(t1 - t0, fetch);
      float* to = out + (static_cast<int64_t>(p) * tokens + t0) * 16;
      product(first, 0, own, x + t0, first + later * bytes, to);
      if (own < blocks) product(first, own, blocks, x + t0, ahead, to);
    }
}

// ---- packed matrices, many tokens

// What a tile reads of a token: its rows lie too far apart for the processor to see where it goes next.
inline void fetchBlock(const ActBlock* x) {
  for (int i = 0; i < 6; i++) prefetch(x->values + i * 64);
}

// One block of some panels over some tokens, added to out[panel * stride][token][16]. Meanwhile the blocks `next`, of as many
// tokens, and so many lines a group of what lies ahead are fetched.
template <int format, int panels, int tokens>
void blockTile(const Unpacked* weights, const ActBlock* const* x, int b, const ActBlock* const* next, Ahead& ahead, int lines, int64_t stride, float* out) {
  constexpr int n = panels * tokens, words = kGroup<format> / 4;
  const ActBlock* act[tokens];
  for (int t = 0; t < tokens; t++) act[t] = x[t] + b;
  VF acc[n];
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) acc[j] = b == 0 ? zero() : load(out + j / tokens * stride + j % tokens * 16);
  for (int g = 0; g < kBlock / kGroup<format>; g++) {
    ahead.fetch(lines);
    if (g < tokens) fetchBlock(next[g]);
    VI sum[n];
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sum[j] = startOf<format>(*act[j % tokens], g);
#pragma GCC unroll 8
    for (int w = 0; w < words; w++) {
      VB codes[panels];
      for (int p = 0; p < panels; p++) codes[p] = loadBytes(weights[p].codes[g * words + w]);
#pragma GCC unroll 16
      for (int t = 0; t < tokens; t++) {
        const VB values = fourBytes(act[t]->values + (g * words + w) * 4);
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) sum[p * tokens + t] = dotOf<format>(sum[p * tokens + t], codes[p], values);
      }
    }
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) {
      const Unpacked& w = weights[j / tokens];
      acc[j] = addGroup<format>(acc[j], sum[j], load(w.scale[g]), load(w.min[g]), *act[j % tokens], g);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) store(out + j / tokens * stride + j % tokens * 16, acc[j]);
}

using BlockTile = void (*)(const Unpacked* weights, const ActBlock* const* x, int b, const ActBlock* const* next, Ahead& ahead, int lines, int64_t stride, float* out);

template <int format, int panels, int most> BlockTile blockTileFor(int tokens) {
  if constexpr (most > 1)
    if (tokens < most) return blockTileFor<format, panels, most - 1>(tokens);
  return blockTile<format, panels, most>;
}

// At most kMostPanels panels.
template <int format>
void multiplyMany(const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, const uint8_t* ahead, float* out) {
  constexpr int groups = kBlock / kGroup<format>;
  const int64_t stride = static_cast<int64_t>(tokens) * 16;
  const int tiles = (tokens + kTileTokens - 1) / kTileTokens, calls = (panels + kTilePanels - 1) / kTilePanels;
  const int lines = panels * kGeometry[format].bytes / 64 / (tiles * calls * groups) + 1;
  auto same = [](VB codes) { return codes; };
  overBlocks<format>(first, panels, columns, tokens, kTileTokens, ahead, same, [&](const Unpacked* weights, int b, int t0, int n, Ahead& rest) {
    const ActBlock* next[kTileTokens];
    for (int i = 0; i < n; i++) next[i] = t0 + n + i < tokens ? x[t0 + n + i] + b : x[i] + b + 1;
    for (int p = 0; p < panels; p += kTilePanels) {
      const BlockTile product = p + kTilePanels <= panels ? blockTileFor<format, kTilePanels, kTileTokens>(n) : blockTileFor<format, 1, kTileTokens>(n);
      product(weights + p, x + t0, b, next, rest, lines, stride, out + p * stride + t0 * 16);
    }
  });
}

template <int format>
void matmulFormat(const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out) {
  if (tokens == 0) return;
  if (tokens < kFewestUnpacked) return multiplyFew<format>(first, panels, columns, x, tokens, fetch, ahead, out);
  const int64_t panelBytes = matrixBytes(format, kPanelRows, columns);
  for (int p = 0; p < panels; p += kMostPanels) {
    const int count = panels - p < kMostPanels ? panels - p : kMostPanels;
    multiplyMany<format>(first + p * panelBytes, count, columns, x, tokens, ahead + p * panelBytes, out + static_cast<int64_t>(p) * tokens * 16);
  }
}

void matmul(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out) {
  switch (format) {
    case Q4_0: return matmulFormat<Q4_0>(first, panels, columns, x, tokens, fetch, ahead, out);
    case Q8_0: return matmulFormat<Q8_0>(first, panels, columns, x, tokens, fetch, ahead, out);
    case Q4_K: return matmulFormat<Q4_K>(first, panels, columns, x, tokens, fetch, ahead, out);
    case Q4_S: return matmulFormat<Q4_S>(first, panels, columns, x, tokens, fetch, ahead, out);
    case Q5_K: return matmulFormat<Q5_K>(first, panels, columns, x, tokens, fetch, ahead, out);
    default: return matmulFormat<Q6_K>(first, panels, columns, x, tokens, fetch, ahead, out);
  }
}

// ---- plain matrices

template <int format> inline VF plain16(const uint8_t* row, int k) {
  if constexpr (format == F32) return load(reinterpret_cast<const float*>(row) + k);
  if constexpr (format == F16) return loadHalf(reinterpret_cast<const uint16_t*>(row) + k);
  return loadBf16(reinterpret_cast<const uint16_t*>(row) + k);
}

template <int format, int rows, int tokens>
inline void plainTile(const uint8_t* first, int columns, const float* const* x, float* out, int outStride) {
  constexpr int n = rows * tokens;
  VF acc[n];
  for (int j = 0; j < n; j++) acc[j] = zero();
  for (int k = 0; k < columns; k += 16) {
    VF w[rows];
    for (int r = 0; r < rows; r++) w[r] = plain16<format>(first + static_cast<int64_t>(r) * columns * kGeometry[format].bytes, k);
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) acc[j] = fma(w[j / tokens], load(x[j % tokens] + k), acc[j]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) out[j % tokens * outStride + j / tokens] = sumLanes(acc[j]);
}

// Rows of weights are few enough to stay in a cache, tokens are not.
template <int format>
void plainFormat(const uint8_t* weights, int columns, int row0, int row1, const float* const* x, int tokens, float* out, int outStride) {
  constexpr int together = kBlockHeads * kBlockVectors / 4;
  const int64_t rowBytes = static_cast<int64_t>(columns) * kGeometry[format].bytes;
  int t = 0;
  for (; t + 4 <= tokens; t += 4) {
    float* o = out + t * outStride;
    int r = row0;
    for (; r + together <= row1; r += together) plainTile<format, together, 4>(weights + r * rowBytes, columns, x + t, o + (r - row0), outStride);
    for (; r < row1; r++) plainTile<format, 1, 4>(weights + r * rowBytes, columns, x + t, o + (r - row0), outStride);
  }
  for (int r = row0; r < row1; r++)
    for (int u = t; u < tokens; u++) plainTile<format, 1, 1>(weights + r * rowBytes, columns, x + u, out + u * outStride + (r - row0), outStride);
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

// How vectors read pages of codes.
template <int chunks> struct VectorCodes {
  WholeQuery wholes[kMaxGroup];

  explicit VectorCodes(int) {}
  void prepare(const float* q, int group) { wholeQueries<chunks>(q, group, wholes); }
  void scores(const float* q, int group, const KvPage& page, const KvPage& next, float* to) const { codedPageScores<chunks>(q, wholes, group, page, next, to); }
  void values(const float* p, int group, const KvPage& page, float* to) const { codedPageValues<chunks>(p, group, page, to); }
};

void attend(const float* q, int group, int headDim, const KvPage* pages, int context, Gathered* out) {
  switch (headDim) {
    case 32: return attendChunks<2, VectorCodes<2>>(q, group, pages, context, out);
    case 64: return attendChunks<4, VectorCodes<4>>(q, group, pages, context, out);
    default: return attendChunks<8, VectorCodes<8>>(q, group, pages, context, out);
  }
}

void attendBlocks(const float* q, int group, int headDim, const KvPage* pages, int n, Gathered* out) {
  switch (headDim) {
    case 32: return attendSomeBlocks<2, VectorCodes<2>>(q, group, pages, n, out);
    case 64: return attendSomeBlocks<4, VectorCodes<4>>(q, group, pages, n, out);
    default: return attendSomeBlocks<8, VectorCodes<8>>(q, group, pages, n, out);
  }
}

void scan(const ScanQueries* q, const float* rotated, int group, int headDim, const KvPage* pages, int count, float* masses, int32_t* tops) {
  switch (headDim) {
    case 32: return scanPages<1>(VectorScan<1>{*q, group}, rotated, group, pages, count, masses, tops);
    case 64: return scanPages<2>(VectorScan<2>{*q, group}, rotated, group, pages, count, masses, tops);
    default: return scanPages<4>(VectorScan<4>{*q, group}, rotated, group, pages, count, masses, tops);
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
  return {name, quantise, rmsNorm, matmul, nullptr, nullptr, nullptr, matmulPlain, normRope, storeHalfRow, encodePage, rotate, attend, attendBlocks, prepareScan, scan, unpackPage,
          attendPage, packPage, packedPage, 1, attendPages, merge, finish, siluMultiply, addWeighted, largest, joinLargest, readAll, peak};
}

}  // namespace
