// Step 5 on the CPU: walks the recorded ops; each op is one to five phases over all threads.
#include "engine.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include "choosing-row.h"
#include "expert-memory.h"
#include "format.h"
#include "prefill.h"
#include "routing.h"
#include "spans.h"
#include "split.h"

namespace {

float floatOf(int32_t bits) { return bitsToFloat(static_cast<uint32_t>(bits)); }

// Folded, more: rows that tiles take are read for each call anew, and of a long prompt they are more than the caches hold.
constexpr int kFoldedPanels = 32;

// A step that reads fewer of a sequence's tokens at once makes replies, or is not worth it: its weights are not folded.
constexpr int kFewestFolded = 16;
// An expert's weights take as long to fold as to be multiplied with so many rows as they are; on average, so that which rows stand
// beside each other does not tell.
constexpr int kFewestOfExpert = 6;

// Plain weights are few enough for a cache, many rows are not: each thread then reads its own.
constexpr int kRoutedTogether = 16;

// The rows that a product reads: quantised for packed weights, floats for plain ones.
struct Rows {
  const ActBlock* const* acts;
  const float* const* floats;
  const uint8_t* tiled;  // in place of `acts` where weights are folded, else nullptr
  int count;
};

struct Run {
  Engine& e;
  const Step& step;
  const Kernels& k;
  Pool& pool;
  int quantised = -1;  // the tensor whose rows `activations` holds: consumers of one input share them
  bool asRows = false;  // in the form that is folded
  int tablesOf = -1;   // the rope whose tables `cos` and `sin` hold
  std::vector<float> cos, sin;
  Fetch fetch = e.fetchTrial.best;
  const bool readsPrompt = std::any_of(step.sequences.begin(), step.sequences.end(), [](const Sequence& s) { return s.numTokens >= kFewestFolded; });
  std::vector<int> firstCoded;  // [sequence]
  std::vector<const ActBlock*> acts;
  std::vector<const float*> floats;

  Run(Engine& engine, const Step& s) : e(engine), step(s), k(*engine.kernels), pool(engine.pool) {
    for (const Sequence& sequence : s.sequences) firstCoded.push_back(s.firstCoded(sequence));
  }

  float* row(int t, int64_t r) const { return e.row(step, t, r); }
  uint8_t* scratch(int thread) const { return e.scratch.data() + thread * e.threadBytes; }
  ActBlock* actRow(int64_t r, int columns) const {
    return reinterpret_cast<ActBlock*>(e.activations.data()) + r * ceilDiv(columns, kBlock);
  }

  // Whether products of a tensor's rows are the faster, less exact ones.
  bool readsFaster(int x) const { return e.products && k.matmulFolded && readsPrompt && step.rows[x] >= kFewestFolded; }
  // Codes of 8 bits would lose what they are for.
  bool folds(int x, const Weight& w) const { return readsFaster(x) && kGeometry[w.format].panels && w.format != Q8_0; }

  void quantise(int x, bool folded) {
    if (quantised == x && asRows == folded) return;
    pool.run(step.rows[x], 4, [&](int first, int last, int) {
      for (int r = first; r < last; r++) {
        if (folded) k.quantiseRow(row(x, r), step.columns[x], quantisedRow(r, step.columns[x]));
        else k.quantise(row(x, r), step.columns[x], actRow(r, step.columns[x]));
      }
    });
    quantised = x;
    asRows = folded;
  }

  // Rows [first, last) of those that `rowAt` finds, as tiles take them, `stride` bytes apart.
  template <class RowAt> void tile(int first, int last, int columns, RowAt rowAt, uint8_t* out, int64_t stride) const {
    for (int r = first; r < last; r += kTileRows, out += stride) {
      const int count = std::min(kTileRows, last - r);
      const uint8_t* rows[kTileRows];
      for (int i = 0; i < count; i++) rows[i] = rowAt(r + i);
      k.tileRows(rows, count, columns, out);
    }
  }

  uint8_t* quantisedRow(int64_t r, int columns) const { return e.activations.data() + r * quantisedRowBytes(columns); }

  // The rows of a tensor, quantised if the weights are packed; until the next call.
  Rows rowsOf(int x, bool packed, bool folded) {
    const int columns = step.columns[x], count = step.rows[x];
    if (packed) quantise(x, folded);
    acts.clear();
    floats.clear();
    for (int r = 0; r < count; r++) {
      acts.push_back(actRow(r, columns));
      floats.push_back(row(x, r));
    }
    if (folded)
      pool.run(ceilDiv(count, kTileRows), 1, [&](int first, int last, int) {
        const int64_t each = tiledBytes(columns);
        tile(first * kTileRows, std::min(last * kTileRows, count), columns, [&](int r) { return quantisedRow(r, columns); }, e.tiled.data() + first * each, each);
      });
    return {acts.data(), floats.data(), folded ? e.tiled.data() : nullptr, count};
  }

  // Panel p of one expert's matrix; one past the last is where the next expert's begins.
  static const uint8_t* panel(const Weight& w, int expert, int p) {
    return w.data + expert * w.expertBytes + (kGeometry[w.format].panels ? p * matrixBytes(w.format, kPanelRows, w.columns) : 0);
  }

  struct Place {
    const Weight& weight;
    int expert, panel;
  };

  // Panels [p0, p1) of one expert's matrix over some rows: out[panel][row][16].
  void product(const Weight& w, int expert, int p0, int p1, const Rows& in, Place next, float* out) const {
    if (kGeometry[w.format].panels) {
      const uint8_t *first = panel(w, expert, p0), *ahead = panel(next.weight, next.expert, next.panel);
      // Of what lies ahead as many bytes are read as here.
      const bool isThere = ahead + (panel(w, expert, p1) - first) <= next.weight.data + next.weight.experts * next.weight.expertBytes;
      return k.matmul(w.format, first, p1 - p0, w.columns, in.acts, in.count, fetch, isThere ? ahead : first, out);
    }
    const uint8_t* matrix = w.data + expert * w.expertBytes;
    for (int p = p0; p < p1; p++)
      k.matmulPlain(w.format, matrix, w.columns, p * 16, std::min(p * 16 + 16, w.rows), in.floats, in.count, out + (p - p0) * in.count * 16, 16);
  }

  // The same of folded weights, in their place: `to` is where the matrix's results begin.
  void foldedProduct(const Weight& w, int expert, int p0, int p1, const uint8_t* tiled, int count, Place next, Results to) const {
    Results part = to;
    part.data += p0 * kPanelRows, part.width -= p0 * kPanelRows;
    k.matmulFolded(w.format, panel(w, expert, p0), p1 - p0, w.columns, tiled, count, panel(next.weight, next.expert, next.panel), part);
  }

  float* results(int thread) const { return reinterpret_cast<float*>(scratch(thread)); }

  void embed(const int32_t* a) {
    const Weight& w = e.weights[a[1]];
    pool.run(step.rows[a[0]], 4, [&](int first, int last, int) {
      for (int r = first; r < last; r++) decodeRow(w.format, w.data, w.columns, step.ids[r], row(a[0], r));
    });
  }

  void rmsNorm(const int32_t* a) {
    const Weight& w = e.weights[a[2]];
    pool.run(step.rows[a[0]], 4, [&](int first, int last, int) {
      for (int r = first; r < last; r++)
        k.rmsNorm(row(a[1], r), reinterpret_cast<const float*>(w.data), w.columns, floatOf(a[3]), row(a[0], r));
    });
  }

  // Tasks are groups of 16 weight rows over all outputs of one input.
  void linear(const int32_t* a) {
    const int x = a[0], count = a[2];
    const bool adds = a[1] == 1;
    int from[5] = {0};
    bool packed = false, folded = true;
    for (int i = 0; i < count; i++) {
      const Weight& w = e.weights[a[4 + 2 * i]];
      from[i + 1] = from[i] + ceilDiv(w.rows, kPanelRows);
      packed |= kGeometry[w.format].panels;
      folded &= !kGeometry[w.format].panels || folds(x, w);
    }
    const Rows in = rowsOf(x, packed, packed && folded);
    const int each = in.tiled ? kFoldedPanels : kMaxPanels;
    pool.run(from[count], each, [&](int first, int last, int thread) {
      for (int i = 0; i < count; i++) {
        const int p1 = std::min(last, from[i + 1]) - from[i];
        for (int p = std::max(first, from[i]) - from[i]; p < p1 && !pool.cancelled; p += each)
          panelsOver(e.weights[a[4 + 2 * i]], in, p, std::min(p + each, p1), row(a[3 + 2 * i], 0), step.strides[a[3 + 2 * i]], adds, thread);
      }
    });
    for (int i = 0; i < count; i++)
      if (quantised == a[3 + 2 * i]) quantised = -1;
  }

  // Panels [p0, p1) of a matrix over the rows of a tensor, to rows that lie `stride` apart.
  void panelsOver(const Weight& w, const Rows& in, int p0, int p1, float* to, int64_t stride, bool adds, int thread) const {
    if (in.tiled) return foldedProduct(w, 0, p0, p1, in.tiled, in.count, {w, 0, p1}, {to, stride, w.rows, adds, true, nullptr, nullptr});
    float* out = results(thread);
    product(w, 0, p0, p1, in, {w, 0, p1}, out);
    for (int r = 0; r < in.count; r++) scatter(out, r, in.count, p0, p1, w.rows, to + r * stride, adds);
  }

  // One row's results of panels [p0, p1), from out[panel][row][16] to their place: neighbours together, since the
  // rows of a tensor lie a power of two apart and would push each other out of the cache.
  static void scatter(const float* out, int r, int rows, int p0, int p1, int width, float* to, bool adds) {
    for (int p = p0; p < p1; p++) {
      const float* from = out + (static_cast<int64_t>(p - p0) * rows + r) * 16;
      const int n = std::min(16, width - p * 16);
      float* place = to + p * 16;
      if (adds)
        for (int i = 0; i < n; i++) place[i] += from[i];
      else
        memcpy(place, from, static_cast<size_t>(n) * 4);
    }
  }

  void ropeTables(int rope) {
    if (tablesOf == rope) return;
    const Rope& r = e.ropes[rope];
    const size_t half = r.frequencies.size(), rows = step.positions.size();
    cos.resize(rows * half);
    sin.resize(rows * half);
    pool.run(static_cast<int>(rows), 16, [&](int first, int last, int) {
      for (int t = first; t < last; t++)
        for (size_t i = 0; i < half; i++) {
          const double angle = static_cast<double>(step.positions[t]) * r.frequencies[i];
          cos[t * half + i] = static_cast<float>(std::cos(angle) * r.scale);
          sin[t * half + i] = static_cast<float>(std::sin(angle) * r.scale);
        }
    });
    tablesOf = rope;
  }

  void normRope(const int32_t* a) {
    ropeTables(a[2]);
    const Weight& w = e.weights[a[1]];
    const int headDim = w.columns, heads = step.columns[a[0]] / headDim, half = headDim / 2;
    pool.run(step.rows[a[0]] * heads, 16, [&](int first, int last, int) {
      for (int i = first; i < last; i++) {
        const int r = i / heads;
        k.normRope(row(a[0], r) + (i % heads) * headDim, reinterpret_cast<const float*>(w.data), cos.data() + r * half,
                   sin.data() + r * half, headDim, floatOf(a[3]));
      }
    });
    if (quantised == a[0]) quantised = -1;
  }

  void storeKv(const int32_t* a) {
    KvCache& kv = *e.caches[a[0]];
    pool.run(step.rows[a[2]], 16, [&](int first, int last, int) {
      uint16_t key[kMaxHeadDim];
      for (int r = first; r < last; r++) {
        const int page = step.slots[r] / kPageTokens, place = step.slots[r] % kPageTokens;
        for (int h = 0; h < kv.kvHeads; h++) {
          k.storeHalf(row(a[2], r) + h * kv.headDim, kv.headDim, key);
          kv.putKey(page, a[1], h, place, key);
          k.storeHalf(row(a[3], r) + h * kv.headDim, kv.headDim, kv.values(page, a[1], h) + place * kv.headDim);
        }
      }
    });
    encodePages(kv, a[1]);
  }

  // Pages with a tier that this step's last query leaves behind, and no query before this step did: (page, tier).
  std::vector<std::pair<int, int>> pagesToEncode(const KvCache& kv) const {
    std::vector<std::pair<int, int>> due;
    for (const Sequence& s : step.sequences)
      for (int p = kv.pagesBehind(s.contextTokens - s.numTokens - 1); p < kv.pagesBehind(s.contextTokens - 1); p++)
        if (step.tiers[s.pagesFrom + p] != 0) due.push_back({step.pages[s.pagesFrom + p], step.tiers[s.pagesFrom + p]});
    return due;
  }

  void encodePages(const KvCache& kv, int layer) {
    const auto due = pagesToEncode(kv);
    pool.run(static_cast<int>(due.size()) * kv.kvHeads, 1, [&](int first, int last, int) {
      for (int i = first; i < last && !pool.cancelled; i++) {
        const auto [page, tier] = due[i / kv.kvHeads];
        const int head = i % kv.kvHeads;
        uint8_t* pieces[kPieces];
        for (int j = 0; j < kPieces; j++) pieces[j] = kv.piece(j, page, layer, head);
        k.encodePage(kv.keys(page, layer, head), kv.values(page, layer, head), kv.headDim, tier, pieces);
      }
    });
  }

  // One query row of one key/value head: what it reads, and where it gathers.
  struct AttendRow {
    int head, row, context, coded;  // coded: pages at the beginning that may have codes, 0 where none has
    const Sequence* sequence;
  };

  AttendRow attendRow(const KvCache& kv, int head, int r) const {
    auto next = std::upper_bound(step.sequences.begin(), step.sequences.end(), r, [](int value, const Sequence& s) { return value < s.firstRow; });
    const Sequence& s = *(next - 1);
    const int position = s.contextTokens - s.numTokens + (r - s.firstRow);
    const int behind = kv.pagesBehind(position);
    return {head, r, position + 1, behind > firstCoded[&s - step.sequences.data()] ? behind : 0, &s};
  }

  void attend(const int32_t* a) {
    const KvCache& kv = *e.caches[a[2]];
    std::vector<bool> chooses(static_cast<size_t>(step.rows[a[1]]));
    for (int r = 0; a[4] == 1 && r < step.rows[a[1]]; r++) chooses[r] = ChoosingRow<Run>::isOne(*this, attendRow(kv, 0, r));
    if (!std::all_of(chooses.begin(), chooses.end(), [](bool it) { return it; })) attendAll(kv, a, chooses);
    for (int r = 0; r < step.rows[a[1]] && !pool.cancelled; r++)
      if (chooses[r]) ChoosingRow<Run>(*this, *e.caches[a[2]], a, attendRow(kv, 0, r)).attend();
  }

  // Rows are read in spans of pages, each by itself, and the spans are joined in their order: so the bits do not tell
  // how many threads there were. Tasks are (key/value head, row), heads outermost so that neighbours share pages; where
  // those are too few, each span is a task. Rows that choose what they read are left out.
  void attendAll(const KvCache& kv, const int32_t* a, const std::vector<bool>& chooses) {
    const auto blocks = rowBlocks(step, kv.kvHeads, pool.threads(), e.products ? k.pagesAtOnce : 0);
    if (!blocks.empty()) return attendBlocks(kv, a, blocks, chooses);
    const int rows = step.rows[a[1]], spans = e.splitSpans(step, kv.kvHeads, rows);
    if (spans == 0)
      return pool.run(kv.kvHeads * rows, 1, [&](int first, int last, int thread) {
        for (int i = first; i < last && !pool.cancelled; i++)
          if (!chooses[i % rows]) attendWhole(kv, a, attendRow(kv, i / rows, i % rows), thread);
      });
    const int group = step.columns[a[1]] / (kv.kvHeads * kv.headDim);
    auto gathered = [&](int task) { return placed(e.gathered.data() + task * gatheredBytes(group, kv.headDim)); };
    pool.run(kv.kvHeads * rows * spans, 1, [&](int first, int last, int thread) {
      const float* q = nullptr;
      for (int i = first; i < last && !pool.cancelled; i++) {
        const AttendRow row = attendRow(kv, i / spans / rows, i / spans % rows);
        if (i == first || i % spans == 0) q = loadQueries(kv, a, row, thread);
        if (i % spans * kSpanTokens < row.context && !chooses[row.row]) attendSpan(kv, a, row, i % spans, q, thread, gathered(i));
      }
    });
    pool.run(kv.kvHeads * rows, 1, [&](int first, int last, int) {
      for (int i = first; i < last && !pool.cancelled; i++) {
        const AttendRow row = attendRow(kv, i / rows, i % rows);
        if (chooses[row.row]) continue;
        for (int s = 1; s < spans && s * kSpanTokens < row.context; s++) k.merge(gathered(i * spans), gathered(i * spans + s), group, kv.headDim);
        finishRow(kv, a, row, gathered(i * spans));
      }
    });
  }

  // Tasks are (key/value head, block). Rows that choose what they read are left out.
  void attendBlocks(const KvCache& kv, const int32_t* a, const std::vector<RowBlock>& blocks, const std::vector<bool>& chooses) {
    const int n = static_cast<int>(blocks.size());
    pool.run(kv.kvHeads * n, 1, [&](int first, int last, int thread) {
      for (int i = first; i < last && !pool.cancelled; i++) {
        const RowBlock& block = blocks[i % n];
        const auto begin = chooses.begin() + block.first;
        const bool all = std::none_of(begin, begin + block.rows, [](bool it) { return it; });
        if (block.rows >= kFewestBlockRows && all) attendBlock(e, step, a, block, i / n, scratch(thread));
        else
          for (int r = 0; r < block.rows; r++)
            if (!begin[r]) attendWhole(kv, a, attendRow(kv, i / n, block.first + r), thread);
      }
    });
  }

  void attendWhole(const KvCache& kv, const int32_t* a, const AttendRow& row, int thread) {
    const int group = step.columns[a[1]] / (kv.kvHeads * kv.headDim);
    const float* q = loadQueries(kv, a, row, thread);
    uint8_t* memory = scratch(thread) + queryBytes(group, kv.headDim);
    Gathered* all = placed(memory);
    Gathered* one = placed(memory + gatheredBytes(group, kv.headDim));
    for (int s = 0; s * kSpanTokens < row.context; s++) {
      attendSpan(kv, a, row, s, q, thread, s == 0 ? all : one);
      if (s > 0) k.merge(all, one, group, kv.headDim);
    }
    finishRow(kv, a, row, all);
  }

  // The row's scaled queries of one key/value head; rotated ones behind them where it reads codes.
  const float* loadQueries(const KvCache& kv, const int32_t* a, const AttendRow& row, int thread) {
    const int width = step.columns[a[1]] / kv.kvHeads;
    float* q = reinterpret_cast<float*>(scratch(thread));
    scaleQueries(k, this->row(a[1], row.row) + row.head * width, width / kv.headDim, kv.headDim, row.coded > 0, q);
    return q;
  }

  void attendSpan(const KvCache& kv, const int32_t* a, const AttendRow& row, int span, const float* q, int thread, Gathered* out) {
    const int group = step.columns[a[1]] / (kv.kvHeads * kv.headDim);
    KvPage* pages = spanPages(kv, group, thread);
    const int tokens = std::min(kSpanTokens, row.context - span * kSpanTokens);
    for (int i = 0; i < ceilDiv(tokens, kPageTokens); i++) pages[i] = pageOf(kv, a, row, span * kSpanPages + i);
    k.attend(q, group, kv.headDim, pages, tokens, out);
  }

  KvPage* spanPages(const KvCache& kv, int group, int thread) const {
    return reinterpret_cast<KvPage*>(scratch(thread) + queryBytes(group, kv.headDim) + 2 * gatheredBytes(group, kv.headDim));
  }

  // Page `place` of the row's sequence.
  KvPage pageOf(const KvCache& kv, const int32_t* a, const AttendRow& row, int place) const {
    const int at = row.sequence->pagesFrom + place;
    return kv.part(step.pages[at], a[3], row.head, place < row.coded ? step.tiers[at] : 0);
  }

  void finishRow(const KvCache& kv, const int32_t* a, const AttendRow& row, Gathered* from) {
    const int width = step.columns[a[1]] / kv.kvHeads;
    k.finish(from, width / kv.headDim, kv.headDim, row.coded > 0, this->row(a[0], row.row) + row.head * width);
  }

  void route(const int32_t* a) {
    const Weight& w = e.weights[a[2]];
    const int rows = step.rows[a[1]], topK = a[3];
    const bool packed = kGeometry[w.format].panels;
    const Rows in = rowsOf(a[1], packed, folds(a[1], w));
    float* logits = reinterpret_cast<float*>(e.expertRows.data());
    if (!packed && readsFaster(a[1]))
      splitProduct(w, in, logits, logits + static_cast<int64_t>(rows) * w.rows);
    else if (!packed && rows >= kRoutedTogether * pool.threads())
      pool.run(rows, kRoutedTogether, [&](int first, int last, int) {
        k.matmulPlain(w.format, w.data, w.columns, 0, w.rows, in.floats + first, last - first, logits + static_cast<int64_t>(first) * w.rows, w.rows);
      });
    else
      pool.run(ceilDiv(w.rows, kPanelRows), 1, [&](int first, int last, int thread) {
        for (int p = first; p < last; p++) panelsOver(w, in, p, p + 1, logits, w.rows, false, thread);
      });
    pool.run(rows, kRoutedTogether, [&](int first, int last, int) {
      for (int r = first; r < last; r++) chooseExperts(logits + static_cast<int64_t>(r) * w.rows, w.rows, topK, a[4] == 1, row(a[0], r));
    });
  }

  // out [row][w.rows] of plain weights; `memory` has room for them, packed.
  void splitProduct(const Weight& w, const Rows& in, float* out, float* memory) {
    const SplitProducts split{*e.products, w.columns};
    const SplitFactor weights = split.factorAt(memory, w.rows);
    pool.run(ceilDiv(w.rows, kSplitRows), 1, [&](int first, int last, int thread) {
      auto decoded = [&](int r) { return results(thread) + static_cast<int64_t>(r) * w.columns; };
      for (int i = first * kSplitRows; i < std::min(last * kSplitRows, w.rows); i += kSplitRows) {
        const int count = std::min(kSplitRows, w.rows - i);
        for (int r = 0; r < count; r++) decodeRow(w.format, w.data, w.columns, i + r, decoded(r));
        split.packRight(decoded, i, count, weights);
      }
    });
    pool.run(ceilDiv(in.count, kSplitRows), 1, [&](int first, int last, int thread) {
      for (int r = first * kSplitRows; r < std::min(last * kSplitRows, in.count); r += kSplitRows)
        split.multiply(&in.floats[r], std::min(kSplitRows, in.count - r), results(thread), weights, w.rows, out + static_cast<int64_t>(r) * w.rows);
    });
  }

  // Panels of an expert, and what comes after them.
  struct ExpertRun {
    int expert, p0, p1, nextExpert, nextPanel;
  };

  // fn(run, thread) over the panels of all busy experts, at most kMaxPanels at once. With few rows a thread's whole run
  // of an expert's panels is one call: memory streams best in long runs.
  template <class Fn> void overExperts(const Pairs& pairs, int rowsPerExpert, bool longRuns, Fn&& fn) {
    const int panels = ceilDiv(rowsPerExpert, kPanelRows), each = ceilDiv(panels, kMaxPanels);
    const int tasks = each * static_cast<int>(pairs.busy.size());
    pool.run(tasks, 1, [&](int first, int last, int thread) {
      for (int i = first, next; i < last && !pool.cancelled; i = next) {
        const int from = i % each;
        next = longRuns ? std::min(last, i - from + each) : i + 1;
        const int after = std::min(next, tasks - 1), end = std::min((from + next - i) * kMaxPanels, panels);
        fn({pairs.busy[i / each], from * kMaxPanels, end, pairs.busy[after / each], after % each * kMaxPanels}, thread);
      }
    });
  }

  // The matrices of all experts of a layer.
  struct Experts {
    const Weight &gate, &up, &down;
  };

  void addExperts(const int32_t* a) {
    const int y = a[0], x = a[1], routing = a[2], topK = a[3], rows = step.rows[x];
    const Experts all{e.weights[a[4]], e.weights[a[5]], e.weights[a[6]]};
    const bool folded = rows * topK >= kFewestOfExpert * all.gate.experts && folds(x, all.gate) && folds(x, all.up) && folds(x, all.down);
    if (kGeometry[all.gate.format].panels || kGeometry[all.up.format].panels) quantise(x, folded);
    const Pairs pairs(rows, topK, all.gate.experts, [&](int r, int j) { return reinterpret_cast<const int32_t*>(row(routing, r))[j]; });
    for (int i : pairs.busy) all.gate.visits[i].fetch_add(static_cast<uint64_t>(pairs.from[i + 1] - pairs.from[i]), std::memory_order_relaxed);
    if (folded) runFolded(y, routing, topK, all, pairs);
    else runExperts(y, x, routing, topK, all, pairs);
    if (quantised == y) quantised = -1;
  }

  // In two phases of panels; then each row sums its experts in routing order, whatever the threads did.
  void runExperts(int y, int x, int routing, int topK, const Experts& all, const Pairs& pairs) {
    const auto& [gate, up, down] = all;
    const bool longRuns = step.rows[x] < kManyRows;
    const int total = static_cast<int>(pairs.row.size()), inner = gate.rows, blocks = ceilDiv(inner, kBlock);
    const ExpertMemory at(total, inner, down.rows);
    float* out = reinterpret_cast<float*>(e.expertRows.data() + at.out);  // [pair][columns]
    float* hidden = reinterpret_cast<float*>(e.expertRows.data() + at.hidden);
    ActBlock* hiddenActs = reinterpret_cast<ActBlock*>(e.expertRows.data() + at.acts);
    std::vector<const ActBlock*> acts;  // [pair]
    std::vector<const float*> floats;   // [pair]
    for (int r : pairs.row) acts.push_back(actRow(r, gate.columns)), floats.push_back(row(x, r));

    overExperts(pairs, inner, longRuns, [&](const ExpertRun& run, int thread) {
      const auto [expert, p0, p1, nextExpert, nextPanel] = run;
      const int from = pairs.from[expert], count = pairs.from[expert + 1] - from;
      float* g = results(thread);
      float* u = g + static_cast<int64_t>(p1 - p0) * count * 16;
      const Rows in{&acts[from], &floats[from], nullptr, count};
      product(gate, expert, p0, p1, in, {up, expert, p0}, g);
      product(up, expert, p0, p1, in, {gate, nextExpert, nextPanel}, u);
      k.siluMultiply(g, u, (p1 - p0) * count * 16);
      for (int i = 0; i < count; i++) scatter(g, i, count, p0, p1, inner, hidden + static_cast<int64_t>(from + i) * inner, false);
    });

    for (int i = 0; i < total; i++) acts[i] = hiddenActs + static_cast<int64_t>(i) * blocks, floats[i] = hidden + static_cast<int64_t>(i) * inner;
    if (kGeometry[down.format].panels)
      pool.run(total, 4, [&](int first, int last, int) {
        for (int i = first; i < last; i++) k.quantise(floats[i], inner, hiddenActs + static_cast<int64_t>(i) * blocks);
      });

    overExperts(pairs, down.rows, longRuns, [&](const ExpertRun& run, int thread) {
      const auto [expert, p0, p1, nextExpert, nextPanel] = run;
      const int from = pairs.from[expert], count = pairs.from[expert + 1] - from;
      float* o = results(thread);
      product(down, expert, p0, p1, {&acts[from], &floats[from], nullptr, count}, {down, nextExpert, nextPanel}, o);
      for (int i = 0; i < count; i++) scatter(o, i, count, p0, p1, down.rows, out + static_cast<int64_t>(from + i) * down.rows, false);
    });
    pool.run(step.rows[x], 4, [&](int first, int last, int) {
      for (int r = first; r < last; r++) {
        const float* terms[kMaxTopK];
        for (int j = 0; j < topK; j++) terms[j] = out + static_cast<int64_t>(pairs.of[static_cast<size_t>(r) * topK + j]) * down.rows;
        k.addWeighted(row(y, r), terms, row(routing, r) + topK, topK, down.rows);
      }
    });
  }

  // The same of folded weights: a task is some rows of an expert, over gate and up; then some panels of all experts' down, whose
  // results are summed up as they come, in the order of the experts.
  void runFolded(int y, int routing, int topK, const Experts& all, const Pairs& pairs) {
    const Weight& down = all.down;
    const int total = static_cast<int>(pairs.row.size()), inner = down.columns, panels = ceilDiv(down.rows, kPanelRows);
    const std::vector<ExpertRows> tasks = pairs.inParts(std::clamp(ceilDiv(total, 2 * pool.threads()), 2 * kTileRows, kMostFolded));
    std::vector<uint8_t*> hidden;  // [task]
    uint8_t* free = e.expertRows.data();
    for (const auto& [expert, from, to] : tasks) hidden.push_back(free), free += ceilDiv(to - from, kTileRows) * tiledBytes(inner);
    const int n = static_cast<int>(tasks.size());
    pool.run(n, 1, [&](int first, int last, int thread) {
      for (int i = first; i < last && !pool.cancelled; i++) gateUpFolded(all, pairs, tasks[i], tasks[std::min(i + 1, n - 1)].expert, thread, hidden[i]);
    });
    std::vector<float> weights(static_cast<size_t>(total));  // [pair]
    for (int i = 0; i < total; i++) weights[pairs.of[i]] = row(routing, i / topK)[topK + i % topK];
    std::vector<int> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return tasks[a].from < tasks[b].from; });
    pool.run(ceilDiv(panels, kDownPanels), 1, [&](int first, int last, int) {
      for (int chunk = first; chunk < last; chunk++) {
        const int p0 = chunk * kDownPanels, p1 = std::min(p0 + kDownPanels, panels);
        for (int i = 0; i < n && !pool.cancelled; i++) {
          const auto [expert, from, to] = tasks[order[i]];
          const int next = tasks[order[std::min(i + 1, n - 1)]].expert;
          const Results place{row(y, 0), step.strides[y], down.rows, true, true, &pairs.row[from], &weights[from]};
          foldedProduct(down, expert, p0, p1, hidden[order[i]], to - from, {down, next, p0}, place);
        }
      }
    });
  }

  // SiLU of gate times up of an expert's rows, as tiles take them.
  void gateUpFolded(const Experts& all, const Pairs& pairs, ExpertRows task, int nextExpert, int thread, uint8_t* hidden) const {
    const auto& [gate, up, down] = all;
    const auto [expert, from, to] = task;
    const int count = to - from, inner = gate.rows, blocks = ceilDiv(inner, kBlock), panels = ceilDiv(inner, kPanelRows);
    constexpr int each = kBlock / kPanelRows;
    const FoldedMemory at(gate.columns);
    uint8_t *x = scratch(thread), *narrow = x + at.rows;
    float *g = reinterpret_cast<float*>(x + at.gate), *u = reinterpret_cast<float*>(x + at.up);
    tile(from, to, gate.columns, [&](int i) { return quantisedRow(pairs.row[i], gate.columns); }, x, tiledBytes(gate.columns));
    for (int b = 0; b < blocks; b++) {
      const int p0 = b * each, p1 = std::min(p0 + each, panels), width = std::min(kBlock, inner - b * kBlock);
      // What `product` counts from the matrix's beginning lies at the block's.
      auto block = [&](float* to) { return Results{to - b * kBlock, kBlock, inner, false, false, nullptr, nullptr}; };
      foldedProduct(gate, expert, p0, p1, x, count, {up, expert, p0}, block(g));
      foldedProduct(up, expert, p0, p1, x, count, b + 1 < blocks ? Place{gate, expert, p1} : Place{gate, nextExpert, 0}, block(u));
      for (int r = 0; r < count; r += kTileRows) {
        const int here = std::min(kTileRows, count - r);
        for (int i = 0; i < here; i++) {
          k.siluMultiply(g + (r + i) * kBlock, u + (r + i) * kBlock, ceilDiv(width, 16) * 16);
          k.quantiseRow(g + (r + i) * kBlock, width, narrow + i * quantisedRowBytes(kBlock));
        }
        tile(0, here, kBlock, [&](int i) { return narrow + i * quantisedRowBytes(kBlock); }, hidden + r / kTileRows * tiledBytes(inner) + b * tiledBytes(kBlock), 0);
      }
    }
  }

  // The largest products of a decoded token try the ways of fetching.
  void tryFetch(const int32_t* a) {
    const auto begin = std::chrono::steady_clock::now();
    fetch = e.fetchTrial.next();
    addExperts(a);
    e.fetchTrial.took(std::chrono::steady_clock::now() - begin);
    fetch = e.fetchTrial.best;
  }

  void pickRows(const int32_t* a) {
    for (int r = 0; r < step.rows[a[0]]; r++) memcpy(row(a[0], r), row(a[1], step.logitRows[r]), static_cast<size_t>(step.columns[a[0]]) * 4);
  }

  // Rows in parts, so that one row is work for all threads; joined in their order, so that the bits do not tell.
  void largest(const int32_t* a) {
    const int rows = step.rows[a[1]], size = a[2], n = a[3], part = ceilDiv(size, kRowParts);
    auto* found = reinterpret_cast<Largest*>(e.expertRows.data());
    pool.run(rows * kRowParts, 1, [&](int first, int last, int) {
      for (int i = first; i < last; i++) {
        const int from = std::min(i % kRowParts * part, size);
        k.largest(row(a[1], i / kRowParts), from, std::min(from + part, size), n, &found[i]);
      }
    });
    if (pool.cancelled) return;  // parts that were dropped hold anything
    for (int r = 0; r < rows; r++) {
      Largest* all = &found[r * kRowParts];
      for (int i = 1; i < kRowParts; i++) k.joinLargest(all, all + i, n);
      float* out = row(a[0], r);
      for (int i = 0; i < n; i++) out[i] = static_cast<float>(all->ids[i]), out[n + i] = all->values[i];
      if (!all->finite) out[0] = -1;
    }
  }

  void op(const int32_t* words) {
    const int32_t* a = words + 1;
    switch (words[0]) {
      case kEmbed: return embed(a);
      case kRmsNorm: return rmsNorm(a);
      case kLinear: return linear(a);
      case kNormRope: return normRope(a);
      case kStoreKv: return storeKv(a);
      case kAttend: return attend(a);
      case kRoute: return route(a);
      case kAddExperts: return step.rows[a[0]] == 1 ? tryFetch(a) : addExperts(a);
      case kPickRows: return pickRows(a);
      case kLargest: return largest(a);
    }
  }
};

}  // namespace

bool Engine::run(const Step& step) {
  Run run(*this, step);
  for (size_t i = 0; i < step.ops.size(); i += kOpWords) {
    const auto begin = std::chrono::steady_clock::now();
    run.op(&step.ops[i]);
    if (pool.cancelled.load(std::memory_order_relaxed)) return false;
    nanoseconds[step.ops[i]] += static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count());
  }
  return true;
}
