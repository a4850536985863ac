// The table of kernels that each instruction set fills in. A kernel works on one thread's share: it knows
// pointers and sizes; never threads, layers or files. All sets give the same bits: the same 16 lanes, the same
// order of operations, fused multiply-adds only where written.
#pragma once
#include <cstdint>
#include "gemm.h"

// Activations of 256 columns, int8 in groups of 32. Sums start from what turns unsigned codes into signed ones.
struct alignas(64) ActBlock {
  int8_t values[256];
  float scale[8];         // of a group
  float scaledSum[8];     // scale * sum of the group
  int32_t startQ4_0[8];   // -8 * sum of the group
  int32_t startQ8_0[8];   // -128 * the same
  int32_t startQ6_K[16];  // -32 * sum of 16 values
};

// Values of all blocks, then their scales, filled up to whole lines.
static inline int64_t quantisedRowBytes(int columns) {
  const int blocks = (columns + 255) / 256;
  return blocks * 256 + (blocks * 4 + 63) / 64 * 64;
}
// Of up to sixteen rows, or of one block of them, as tiles take them.
static inline int64_t tiledBytes(int columns) { return (columns + 255) / 256 * 16 * 260LL; }

// Where a product's results go: of row r of activations to data + r * stride, `width` of them, in place of what is there or added to
// it; or to data + rows[r] * stride, weights[r] times.
struct Results {
  float* data;
  int64_t stride;
  int width;
  bool adds, far;   // far: caches do not hold that place, so that its lines are fetched ahead
  const int* rows;  // nullptr: one after another, as they are
  const float* weights;
};

constexpr int kPageTokens = 128;
constexpr int kMaxGroup = 16;  // query heads of one key/value head
constexpr int kMaxHeadDim = 128;
constexpr int kTiers = 4;   // 0 keeps 16 bits, the others codes of ever fewer
constexpr int kPageBlocks = kPageTokens / 16;  // a block is what a query chooses, or does not
constexpr uint8_t kAllBlocks = 0xff;
constexpr int kPieces = 3;  // of a page of codes: what tier 3 needs, what 2 adds, what 1 adds

// Keys of a page in 16 bits lie transposed, in panels of so many tokens: a vector has one channel of sixteen keys, and no
// score is summed across lanes.
constexpr int kKeyPanel = 32;
// Where a token's key begins among those of its head; its channels are kKeyPanel apart.
inline int keyStart(int token, int headDim) { return token / kKeyPanel * kKeyPanel * headDim + token % kKeyPanel; }

// The means of the page that a block comes from.
struct BlockMeans {
  const uint16_t *keys, *values;
};

// One head's part of a page: half floats, keys [kPageTokens / kKeyPanel][headDim][kKeyPanel] and values
// [kPageTokens][headDim]; or codes where the tier is not 0.
struct KvPage {
  const uint16_t* keys;
  const uint16_t* values;
  uint8_t* pieces[kPieces];
  int tier;
  uint8_t blocks = 0;                 // those that `attendBlocks` reads, bit b for block b
  const BlockMeans* means = nullptr;  // [kPageBlocks] where blocks of several pages lie in the places of one
};

// Rotated, scaled queries of a key/value head as integers; src/backend/reference/estimate.ts says what they are.
struct ScanQueries {
  alignas(64) int8_t codes[kMaxGroup][kMaxHeadDim];
  float middle[kMaxGroup], unit[kMaxGroup];
};

// What a query row has gathered from a run of pages, for each head of its group: sums of values weighted by
// exp(score - largest), those of codes in rotated space.
struct Gathered {
  float largest[kMaxGroup], total[kMaxGroup];
  float* sums;  // [2: plain, rotated][group][headDim]
};

// Query rows of many tokens, [token][head], and what they have gathered: queries as left factors, and sums [row][headDim], each
// of plain pages and of codes; the largest score; sixteen parts of the total of weights, [row][16].
struct PackedRows {
  float *q[2], *sums[2];
  float *largest, *totals;
};
constexpr int kMaxTopK = 64;

// The largest values of a part of a row, best first, the lower index first where they tie.
constexpr int kMaxLargest = 64;
struct Largest {
  int32_t count, finite;  // finite: 1 unless the part has an infinity or a NaN
  int32_t ids[kMaxLargest];
  float values[kMaxLargest];
};

// How a product of one row fetches weights ahead: every line, 4 KB before its load into the second cache, which waits for
// more of them at a time than the first, and half-way into the first; or the head of every page, two pages before, and the
// rest is left to the processor, which follows a stream within a page but not into the next; or every line into the first
// cache and, pages before, each page's first one, for where a page's address takes long to look up.
enum class Fetch { kLines, kPageHeads, kLinesAndPages };
constexpr int kFetches = 3;

// What `peak` repeats: products of bytes, of 16-bit numbers, of floats (where AMX is, of what its tiles take in their place).
enum class Peak { bytes, pairs, floats };

struct Kernels {
  const char* name;
  // x [columns] -> ceil(columns / 256) blocks; the tail is zero.
  void (*quantise)(const float* x, int columns, ActBlock* out);
  // out = x * rsqrt(mean(x^2) + epsilon) * weight; columns a multiple of 16.
  void (*rmsNorm)(const float* x, const float* weight, int columns, float epsilon, float* out);
  // `panels` panels of 16 rows from `first`, for `tokens` quantised rows: out[panel][token][16]. A single token fetches
  // as `fetch` says. At `ahead` lies what this thread will most likely read next, as many bytes as are read here: of it,
  // several tokens fetch all, and a single one that fetches lines the beginning.
  void (*matmul)(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens,
                 Fetch fetch, const uint8_t* ahead, float* out);
  // Faster and less exactly, where the set has them: rows of bytes with one scale for 256, quantisedRowBytes long; up to sixteen
  // of them as tiles take them, tiledBytes; and products with weights whose scales are folded into the codes, of
  // ceil(tokens / 16) such; not of Q8_0. `next` is read next.
  void (*quantiseRow)(const float* x, int columns, uint8_t* out);
  void (*tileRows)(const uint8_t* const* rows, int count, int columns, uint8_t* out);
  void (*matmulFolded)(int format, const uint8_t* first, int panels, int columns, const uint8_t* tiled, int tokens,
                       const uint8_t* next, Results out);
  // Plain rows [row0, row1) of f32, f16 or bf16, over float rows: out[token * outStride + row - row0].
  void (*matmulPlain)(int format, const uint8_t* weights, int columns, int row0, int row1, const float* const* x,
                      int tokens, float* out, int outStride);
  // Norm of one head, then rotation of (i, i + headDim / 2) by the row's cos and sin.
  void (*normRope)(float* head, const float* weight, const float* cos, const float* sin, int headDim, float epsilon);
  void (*storeHalf)(const float* x, int n, uint16_t* out);
  // The codes of a full page of half floats: the pieces that the tier has.
  void (*encodePage)(const uint16_t* keys, const uint16_t* values, int headDim, int tier, uint8_t* const* pieces);
  // Into the space of codes and back, in place.
  void (*rotate)(float* x, int headDim);
  // One row of `group` query heads, already scaled, over `context` tokens; q is [2: plain, rotated][group][headDim], the
  // latter only where a page has codes. All of a page of codes is in the context.
  void (*attend)(const float* q, int group, int headDim, const KvPage* pages, int context, Gathered* out);
  // The same over those blocks of n pages of codes that are read; at least one is.
  void (*attendBlocks)(const float* q, int group, int headDim, const KvPage* pages, int n, Gathered* out);
  // For `group` rotated, scaled queries [group][headDim].
  void (*prepareScan)(const float* q, int group, int headDim, ScanQueries* out);
  // Estimates of `count` pages of codes: block b of page p gets masses[p][g][b] * 2^tops[p][g] of query g's attention.
  void (*scan)(const ScanQueries* q, const float* rotated, int group, int headDim, const KvPage* pages, int count, float* masses, int32_t* tops);
  // A page for many rows, keys then values: as floats in panels; or its codes, paired. What `attendPage` reads.
  void (*unpackPage)(const KvPage& page, int headDim, float* out);
  // One row over one more page, `count` tokens of it: the bits that `attend` gives. q is in the page's space.
  void (*attendPage)(const float* q, int group, int headDim, const KvPage& page, const float* unpacked, int count, Gathered* out);
  // For many rows at once, less exactly: a page as right factors, keys then values, tokens from `count` on as zeros; so many of them,
  // packedPage words apart; and the rows of tokens [first, last) over pages, all of which they see, or over a single one, of
  // which the first sees `count` tokens and each other one more.
  void (*packPage)(const GemmKernels& products, const KvPage& page, int headDim, int count, float* out);
  int64_t (*packedPage)(const GemmKernels& products, int headDim);
  int pagesAtOnce;  // that `attendPacked` gains by
  void (*attendPacked)(const GemmKernels& products, const PackedRows& rows, int first, int last, int count, int group, int headDim,
                       bool coded, const float* packed, int pages);
  // into += from, which comes after it.
  void (*merge)(Gathered* into, const Gathered* from, int group, int headDim);
  // out [group][headDim]; sums of codes are turned back if `coded`, else there are none. Spoils `from`.
  void (*finish)(Gathered* from, int group, int headDim, bool coded, float* out);
  // gate = silu(gate) * up
  void (*siluMultiply)(float* gate, const float* up, int n);
  // y += sum over i of weight[i] * x[i]
  void (*addWeighted)(float* y, const float* const* x, const float* weight, int count, int n);
  // The k largest of x[first, last), named by their index in x.
  void (*largest)(const float* x, int first, int last, int k, Largest* out);
  // into = the k largest of both; from is the part of the row right behind it.
  void (*joinLargest)(Largest* into, const Largest* from, int k);
  // Sums 64-byte words, widest loads: the read bandwidth probe.
  uint64_t (*readAll)(const uint8_t* p, int64_t bytes);
  // So many rounds of products of a number that must not be known beforehand; how many a round has.
  int64_t (*peak)(Peak what, int64_t rounds, uint8_t seed, float* sink);
};

// The best set this CPU has, or the named one if it has it; nullptr otherwise.
const Kernels* kernelsFor(const char* name);
// The names of the sets this CPU has, best first, separated by spaces.
const char* kernelNames();
