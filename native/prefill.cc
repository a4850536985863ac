// Step 5, attention in blocks of rows. Each row does what it would do alone, in the same order: exactly so, or with
// products of packed factors where the engine has such.
#include "prefill.h"
#include <algorithm>
#include <cstring>
#include "spans.h"

namespace {

// What they gather stays in the second-level cache, and unpacking is a few per cent of what they compute, which by products
// of packed factors is less. Several packed pages are read by a few rows after others, whose sums need not stay there.
constexpr int kMostBlockRows = 16;
constexpr int mostPackedRows(int pages) { return pages > 1 ? 128 : 64; }
constexpr int kTasksPerThread = 4;
// Rows of a left factor are filled up to whole register tiles, or pairs of them, of no more than this.
constexpr int kMostTileRows = 32;
constexpr float kNothingGathered = -3e38f;

struct Walk {
  const Engine& e;
  const Step& step;
  const int32_t* a;
  const RowBlock& block;
  const int head;
  uint8_t* const memory;
  const Kernels& k = *e.kernels;
  const KvCache& kv = *e.caches[a[2]];
  const Sequence& s = *block.sequence;
  const int headDim = kv.headDim, width = step.columns[a[1]] / kv.kvHeads, group = width / headDim;
  const int position = s.contextTokens - s.numTokens + block.first - s.firstRow;  // of the first row
  const int firstCoded = step.firstCoded(s);

  float* tensorRow(int t, int r) const {
    return e.row(step, t, block.first + r) + head * width;
  }

  // Memory holds a page, unpacked, or several, packed. Behind them row by row: queries in plain and in rotated space, what all of the
  // spans so far gave, and what this one gives. Or, packed, all of `packedRows`.
  static int64_t pageBytes(int headDim, int pages) { return pages * 2LL * kPageTokens * headDim * 4; }
  static int64_t rowBytes(int group, int headDim) { return queryBytes(group, headDim) + 2 * gatheredBytes(group, headDim); }
  static int64_t leftRows(int group, int pages) { return roundUp(mostPackedRows(pages) * group, kMostTileRows); }
  static int64_t packedBytes(int group, int headDim, int pages) { return leftRows(group, pages) * (4 * headDim + 32) * 4; }
  float* page() const { return reinterpret_cast<float*>(memory); }
  float* queries(int r) const { return reinterpret_cast<float*>(memory + pageBytes(headDim, 1) + r * rowBytes(group, headDim)); }
  Gathered* all(int r) const { return placed(reinterpret_cast<uint8_t*>(queries(r)) + queryBytes(group, headDim)); }
  Gathered* one(int r) const { return placed(reinterpret_cast<uint8_t*>(queries(r)) + queryBytes(group, headDim) + gatheredBytes(group, headDim)); }
  PackedRows packedRows() const {
    float* first = reinterpret_cast<float*>(memory + pageBytes(headDim, k.pagesAtOnce));
    const int64_t rows = leftRows(group, k.pagesAtOnce), part = rows * headDim;
    float* totals = first + 4 * part;
    return {{first, first + part}, {first + 2 * part, first + 3 * part}, totals + rows * 16, totals};
  }

  bool readsCodes(int r) const { return kv.pagesBehind(position + r) > firstCoded; }

  void loadQueries(int r) const { scaleQueries(k, tensorRow(a[1], r), group, headDim, readsCodes(r), queries(r)); }

  // Rows [first, last) read page p by one tier.
  void readPage(int p, int first, int last, int tier, int span) const {
    if (first >= last) return;
    const KvPage part = kv.part(step.pages[s.pagesFrom + p], a[3], head, tier);
    auto count = [&](int r) { return std::min(kPageTokens, position + r + 1 - p * kPageTokens); };
    if (e.products) {
      k.packPage(*e.products, part, headDim, count(last - 1), page());
      return k.attendPacked(*e.products, packedRows(), first, last, count(first), group, headDim, tier != 0, page(), 1);
    }
    k.unpackPage(part, headDim, page());
    for (int r = first; r < last; r++)
      k.attendPage(queries(r) + (tier == 0 ? 0 : width), group, headDim, part, page(), count(r), span == 0 ? all(r) : one(r));
  }

  // Rows from `first` on have the page in their context; later ones of them may be past the window that others still
  // see it in.
  void visitPage(int p, int span) const {
    const int first = std::max(0, p * kPageTokens - position), tier = step.tiers[s.pagesFrom + p];
    int coded = block.rows;
    while (tier != 0 && coded > first && kv.pagesBehind(position + coded - 1) > p) coded--;
    readPage(p, first, coded, 0, span);
    readPage(p, coded, block.rows, tier, span);
  }

  // Pages from p on that all rows see all of, and by the same kind of tier.
  int wholePages(int p) const {
    const int end = std::min((position + 1) / kPageTokens, p + k.pagesAtOnce);
    auto kind = [&](int i) { return step.tiers[s.pagesFrom + i] == 0 ? 0 : kv.pagesBehind(position) > i ? 1 : 2; };
    int pages = 0;
    while (p + pages < end && kind(p + pages) != 2 && kind(p + pages) == kind(p)) pages++;
    return pages;
  }

  void readPages(int p, int pages) const {
    const bool coded = step.tiers[s.pagesFrom + p] != 0;
    const int64_t each = k.packedPage(*e.products, headDim);
    for (int i = 0; i < pages; i++)
      k.packPage(*e.products, kv.part(step.pages[s.pagesFrom + p + i], a[3], head, step.tiers[s.pagesFrom + p + i]), headDim, kPageTokens, page() + i * each);
    k.attendPacked(*e.products, packedRows(), 0, block.rows, kPageTokens, group, headDim, coded, page(), pages);
  }

  void run() const {
    if (e.products) return runPacked();
    const int context = position + block.rows;
    for (int r = 0; r < block.rows; r++) loadQueries(r);
    for (int span = 0; span * kSpanTokens < context && !e.pool.cancelled; span++) {
      const int first = std::max(0, span * kSpanTokens - position);  // row that reads of this span
      // Nothing gathered yet: what no tokens give.
      for (int r = first; r < block.rows; r++) k.attend(queries(r), group, headDim, nullptr, 0, span == 0 ? all(r) : one(r));
      const int end = std::min((span + 1) * kSpanPages, ceilDiv(context, kPageTokens));
      for (int p = span * kSpanPages; p < end; p++) visitPage(p, span);
      for (int r = first; span > 0 && r < block.rows; r++) k.merge(all(r), one(r), group, headDim);
    }
    for (int r = 0; r < block.rows; r++) k.finish(all(r), group, headDim, readsCodes(r), tensorRow(a[0], r));
  }

  // As left factors, whole panels of them at a time.
  void packQueries(const PackedRows& rows, int parts) const {
    const int together = e.products->rows, words = wordsOf(headDim, e.products->perWord);
    std::vector<float> q(static_cast<size_t>(together * width));
    for (int first = 0; first < block.rows; first += together) {
      const int count = std::min(together, block.rows - first);
      for (int r = 0; r < count; r++) memcpy(&q[static_cast<size_t>(r * width)], tensorRow(a[1], first + r), static_cast<size_t>(width) * 4);
      for (int part = 0; part < parts; part++) {
        for (int i = 0; part > 0 && i < count * width; i += headDim) k.rotate(&q[static_cast<size_t>(i)], headDim);
        e.products->packLeft({q.data(), headDim, 1}, count * group, headDim, queryScale(headDim), rows.q[part] + first * group * words);
      }
    }
  }

  // Page after page: the order of sums is the products' own in any case.
  void runPacked() const {
    const PackedRows rows = packedRows();
    const int whole = roundUp(block.rows * group, kMostTileRows), parts = readsCodes(block.rows - 1) ? 2 : 1;
    packQueries(rows, parts);
    for (int part = 0; part < parts; part++) memset(rows.sums[part], 0, static_cast<size_t>(whole) * headDim * 4);
    memset(rows.totals, 0, static_cast<size_t>(whole) * 16 * 4);
    std::fill_n(rows.largest, whole, kNothingGathered);
    for (int p = 0, pages; p < ceilDiv(position + block.rows, kPageTokens) && !e.pool.cancelled; p += std::max(1, pages)) {
      pages = wholePages(p);
      if (pages == 0) visitPage(p, 0);
      else readPages(p, pages);
    }

    alignas(64) uint8_t last[sizeof(Gathered) + 64 + 2 * kMaxGroup * kMaxHeadDim * 4];
    Gathered* gathered = placed(last);
    for (int r = 0; r < block.rows; r++) {
      for (int g = 0; g < group; g++) {
        const float* total = rows.totals + (r * group + g) * 16;
        float eight[8];
        for (int i = 0; i < 8; i++) eight[i] = total[i] + total[i + 8];
        gathered->total[g] = ((eight[0] + eight[4]) + (eight[1] + eight[5])) + ((eight[2] + eight[6]) + (eight[3] + eight[7]));
      }
      if (parts == 1) gathered->sums = rows.sums[0] + r * width;
      for (int part = 0; parts == 2 && part < 2; part++) memcpy(gathered->sums + part * width, rows.sums[part] + r * width, static_cast<size_t>(width) * 4);
      k.finish(gathered, group, headDim, readsCodes(r), tensorRow(a[0], r));
    }
  }
};

}  // namespace

std::vector<RowBlock> rowBlocks(const Step& step, int kvHeads, int threads, int packedPages) {
  int rows = 0, most = 0;
  for (const Sequence& s : step.sequences) rows += s.numTokens, most = std::max(most, s.numTokens);
  std::vector<RowBlock> blocks;
  if (most < kFewestBlockRows) return blocks;
  const int each = std::clamp(rows * kvHeads / (kTasksPerThread * threads), 2 * kFewestBlockRows, packedPages > 0 ? mostPackedRows(packedPages) : kMostBlockRows);
  for (const Sequence& s : step.sequences) {
    const int count = ceilDiv(s.numTokens, each);
    for (int i = 0; i < count; i++) {
      const int first = s.numTokens * i / count, last = s.numTokens * (i + 1) / count;
      blocks.push_back({&s, s.firstRow + first, last - first});
    }
  }
  return blocks;
}

int64_t rowBlockBytes(int group, int headDim, int packedPages) {
  return packedPages > 0 ? Walk::pageBytes(headDim, packedPages) + Walk::packedBytes(group, headDim, packedPages)
                         : Walk::pageBytes(headDim, 1) + kMostBlockRows * Walk::rowBytes(group, headDim);
}

void attendBlock(const Engine& engine, const Step& step, const int32_t* a, const RowBlock& block, int head, uint8_t* memory) {
  Walk{engine, step, a, block, head, memory}.run();
}
