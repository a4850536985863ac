// What the addon keeps between steps (mapped files, weights, caches, threads) and what one step is given.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include "fetch_trial.h"
#include "kernels.h"
#include "memory.h"
#include "pool.h"

struct Weight {
  const uint8_t* data;
  int64_t expertBytes;
  int format, experts, rows, columns;
  // [experts] rows that each was given as a gate; read while a step adds to it.
  std::unique_ptr<std::atomic<uint64_t>[]> visits = std::make_unique<std::atomic<uint64_t>[]>(static_cast<size_t>(experts));
};

struct Rope {
  std::vector<float> frequencies;  // [headDim / 2]
  float scale;
};

struct KvCache {
  int layers, pages, kvHeads, headDim, window;
  Memory memory;
  Memory codes[kPieces];  // reserved when a step first has a tier
  // Rows of a head that chose blocks: how often, how often in vain; then of the others the least share kept, in
  // millionths, and blocks. Read while a step adds to them.
  std::atomic<uint64_t> scanned{0}, fellBack{0}, keptMillionths{0}, chosenBlocks{0};

  // A page holds, layer by layer, keys of all heads, then values, as a KvPage has them.
  int64_t headValues() const { return static_cast<int64_t>(kPageTokens) * headDim; }
  int64_t layerValues() const { return 2 * kvHeads * headValues(); }
  int64_t pageBytes() const { return layers * layerValues() * 2; }
  uint16_t* keys(int page, int layer, int head) const {
    return reinterpret_cast<uint16_t*>(memory.data() + page * pageBytes()) + layer * layerValues() + head * headValues();
  }
  uint16_t* values(int page, int layer, int head) const { return keys(page, layer, head) + kvHeads * headValues(); }
  void putKey(int page, int layer, int head, int token, const uint16_t* key) {
    uint16_t* to = keys(page, layer, head) + keyStart(token, headDim);
    for (int i = 0; i < headDim; i++) to[i * kKeyPanel] = key[i];
  }

  // A piece of a page of codes holds, layer by layer and head by head, what src/backend/reference/planes.ts lists on its
  // line; pages are whole pages of the system, so that a piece can be given back by itself.
  int64_t headBytes(int piece) const {
    const int64_t plane = headValues() / 8;
    return piece == 0 ? 4 * headDim + 6 * kPageTokens + 7 * plane : (piece == 1 ? 2 : 7) * plane;
  }
  int64_t pieceBytes(int piece) const {
    constexpr int64_t systemPage = 16384;
    return (layers * kvHeads * headBytes(piece) + systemPage - 1) / systemPage * systemPage;
  }
  uint8_t* piece(int piece, int page, int layer, int head) const {
    return codes[piece].data() + page * pieceBytes(piece) + (layer * kvHeads + head) * headBytes(piece);
  }

  // The stretches of memory that hold all layers of a page, in 16 bits or as the codes of a tier: fn(begin, bytes).
  template <class Fn> void eachStretch(int page, int tier, Fn fn) const {
    if (tier == 0) return fn(memory.data() + page * pageBytes(), pageBytes());
    for (int i = 0; i <= kTiers - 1 - tier; i++) fn(piece(i, page, 0, 0), layers * kvHeads * headBytes(i));
  }

  // The number of a sequence's first pages that the window of a query at this position does not touch.
  int pagesBehind(int position) const { return position + 1 < window ? 0 : (position + 1 - window) / kPageTokens; }

  // One head's part, by a tier.
  KvPage part(int page, int layer, int head, int tier) const {
    KvPage part{keys(page, layer, head), values(page, layer, head), {}, tier};
    for (int i = 0; tier != 0 && i < kPieces; i++) part.pieces[i] = piece(i, page, layer, head);
    return part;
  }

  bool reserveCodes() {
    for (int i = 0; i < kPieces; i++)
      if (!codes[i].data() && !codes[i].allocate(pieceBytes(i) * pages)) return false;
    return true;
  }

  // Keeps the codes of a tier, or nothing of a page where that is 0.
  void trim(int page, int tier) {
    memory.discard(page * pageBytes(), pageBytes());
    for (int i = 0; i < kPieces; i++)
      if (codes[i].data() && (tier == 0 || i > 3 - tier)) codes[i].discard(page * pieceBytes(i), pieceBytes(i));
  }
};

// The recorded ops, 12 numbers each: the op, then what its line lists. src/backend/cpu/plan.ts writes them.
// Floats are passed as their bits. A tensor is named by its number; a weight, cache or rope by its own.
enum Op : int {
  kEmbed,       // out, table
  kRmsNorm,     // out, x, weight, epsilon
  kLinear,      // x, add (1: y += ...), count, then count times: out, weight; at most four
  kNormRope,    // x, weight, rope, epsilon
  kStoreKv,     // kv, layer, k, v
  kAttend,      // out, q, kv, layer, selective (1: queries may choose)
  kRoute,       // out ([rows, 2 topK]: experts as integers, weights), x, router, topK, normalise
  kAddExperts,  // y, x, routing, topK, gate, up, down
  kPickRows,    // out, x
  kLargest,     // out ([rows, 2 k]: indices as floats, values), x, columns that count, k
  kOps
};
constexpr int kOpWords = 12;

struct Sequence {
  int32_t firstRow, numTokens, contextTokens, pagesFrom, selectiveFrom;
};

// One step. Tensor t is rows[t] x columns[t] floats at arena + offsets[t], rows strides[t] floats apart.
struct Step {
  std::vector<int32_t> ops, ids, positions, slots, pages, tiers, logitRows, rows, columns, strides;
  std::vector<int64_t> offsets;
  std::vector<Sequence> sequences;

  // The first page of a sequence that has a tier, or how many pages it has.
  int firstCoded(const Sequence& s) const {
    const int count = (s.contextTokens + kPageTokens - 1) / kPageTokens;
    int p = 0;
    while (p < count && tiers[s.pagesFrom + p] == 0) p++;
    return p;
  }
};

// From this many rows on, one call of a product takes few panels, so that its results stay in the cache.
constexpr int kManyRows = 3, kMaxPanels = 4;
// Parts of a row in which its largest values are looked for.
constexpr int kRowParts = 4;

class Engine {
 public:
  Engine(int threads, const Kernels* k, const GemmKernels* fastPrefill) : kernels(k), products(fastPrefill), pool(threads) {}

  // Takes the memory that `step` needs; false when there is none. Before the step is posted to the pool.
  bool reserve(const Step& step);
  // The spans of the longest sequence, if attention has too few rows for the threads without them; else 0.
  int splitSpans(const Step& step, int kvHeads, int rows) const;
  // On the pool's leading thread; false when it was cancelled.
  bool run(const Step& step);
  // Row r of tensor t.
  float* row(const Step& step, int t, int64_t r) const { return reinterpret_cast<float*>(arena.data() + step.offsets[t]) + r * step.strides[t]; }
  // The most bytes a second that all threads together read from 2 GiB of huge pages, best of five; 0 without memory.
  double readBandwidth();
  // The most products a second that all threads together compute in registers, best of five.
  double peak(Peak what);
  // Cycles a second of one thread's core, by a chain of additions.
  double clock();

  const Kernels* const kernels;
  const GemmKernels* const products;  // of attention in blocks of rows; nullptr where it has the bits of single rows
  std::vector<std::unique_ptr<MappedFile>> files;
  std::vector<Weight> weights;
  std::vector<std::vector<float>> vectors;  // weights that are in no file
  std::vector<Rope> ropes;
  std::vector<std::unique_ptr<KvCache>> caches;
  FetchTrial fetchTrial;
  Memory arena;       // the step's tensors
  Memory activations;  // one tensor's rows, quantised
  Memory tiled;        // the same as tiles take them
  Memory expertRows;   // what flows between the phases of an expert layer
  Memory gathered;     // what parts of an attention row have gathered
  Memory estimates;    // of the key/value heads of a row that chooses
  Memory scratch;      // each thread's own, threadBytes apart
  int64_t threadBytes = 0;
  uint64_t nanoseconds[kOps] = {};
  Pool pool;  // last, so that its threads end before what they use
};
