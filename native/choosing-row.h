// Step 5 on the CPU: attention of one row that chooses which blocks of its coded pages it reads, by all threads. First
// what it reads anyway, and estimates of the rest; then a choice for each key/value head; then what was chosen, or all of
// it where a choice would not keep enough. The bits depend on the row alone. `Run` is engine.cc's.
#pragma once
#include <algorithm>
#include <vector>
#include "engine.h"
#include "selection.h"
#include "spans.h"

namespace {

template <class Run> class ChoosingRow {
 public:
  using Row = typename Run::AttendRow;

  // Whether the row may choose, and has more codes than it would read.
  static bool isOne(const Run& run, const Row& row) {
    return row.context > row.sequence->selectiveFrom && static_cast<int>(pagesThat(run, row, true).size()) * kPageBlocks > kMostBlocks;
  }

  // `op` is attention's; of the row the key/value head does not count.
  ChoosingRow(Run& run, KvCache& kv, const int32_t* op, const Row& row)
      : run_(run), kv_(kv), op_(op), row_(row), group_(run.step.columns[op[1]] / (kv.kvHeads * kv.headDim)), spans_(ceilDiv(row.context, kSpanTokens)),
        coded_(pagesThat(run, row, true)), others_(pagesThat(run, row, false)), chosen_(static_cast<size_t>(kv.kvHeads)) {}

  void attend() {
    const int pages = size(coded_), scans = ceilDiv(pages, kMostPages);
    eachWithQueries(scans + 1, [&](int head, int i, int thread, const float* q) {
      const int from = i * kMostPages;
      if (i == scans) gatherOthers(head, q, thread);
      else scan(head, from, std::min(kMostPages, pages - from), q, thread);
    });
    each([&](int head) { choose(head); });
    eachWithQueries(spans_, [&](int head, int i, int thread, const float* q) {
      const int from = i * kMostPages, all = size(chosen_[head]), n = std::min(kMostPages, all - from);
      if (all == 0) run_.attendSpan(kv_, op_, rowOf(head), i, q, thread, gathered(head, i));
      else if (n > 0) run_.k.attendBlocks(q, group_, kv_.headDim, place(head, chosen_[head], from, n, thread), n, gathered(head, i));
    });
    each([&](int head) { finish(head); });
  }

 private:
  // A page of the row's sequence, and the blocks of it that are read.
  struct Reading {
    int place;
    uint8_t blocks;
  };
  using Readings = std::vector<Reading>;

  // Pages that are codes, or those that are not.
  static Readings pagesThat(const Run& run, const Row& row, bool areCodes) {
    Readings pages;
    for (int p = 0; p < ceilDiv(row.context, kPageTokens); p++)
      if ((p < row.coded && run.step.tiers[row.sequence->pagesFrom + p] != 0) == areCodes) pages.push_back({p, kAllBlocks});
    return pages;
  }
  static int size(const Readings& pages) { return static_cast<int>(pages.size()); }

  template <class Work> void each(Work work) {
    run_.pool.run(kv_.kvHeads, 1, [&](int first, int last, int) {
      for (int head = first; head < last && !run_.pool.cancelled; head++) work(head);
    });
  }
  // For each key/value head, i below count; its queries are loaded where a thread comes to it.
  template <class Work> void eachWithQueries(int count, Work work) {
    run_.pool.run(kv_.kvHeads * count, 1, [&](int first, int last, int thread) {
      const float* q = nullptr;
      for (int i = first; i < last && !run_.pool.cancelled; i++) {
        if (i == first || i % count == 0) q = run_.loadQueries(kv_, op_, rowOf(i / count), thread);
        work(i / count, i % count, thread, q);
      }
    });
  }

  Row rowOf(int head) const { return {head, row_.row, row_.context, row_.coded, row_.sequence}; }
  // Of a span; behind all spans, of what is read anyway.
  Gathered* gathered(int head, int span) const {
    return placed(run_.e.gathered.data() + (head * (spans_ + 1) + span) * gatheredBytes(group_, kv_.headDim));
  }
  uint8_t* estimates(int head) const { return run_.e.estimates.data() + head * estimateBytes(size(coded_), group_); }
  float* masses(int head) const { return reinterpret_cast<float*>(estimates(head)); }
  int32_t* tops(int head) const { return reinterpret_cast<int32_t*>(estimates(head) + massBytes(size(coded_), group_)); }

  // Attention over what is read anyway, in parts that are joined in their order. Of all pages only the row's newest can be
  // part full: it is the last of those in 16 bits.
  void gatherOthers(int head, const float* q, int thread) {
    const int newest = (row_.context - 1) / kPageTokens;
    Gathered* all = gathered(head, spans_);
    Gathered* one = placed(run_.scratch(thread) + queryBytes(group_, kv_.headDim) + gatheredBytes(group_, kv_.headDim));
    for (int from = 0; from < size(others_); from += kMostPages) {
      const int n = std::min(kMostPages, size(others_) - from);
      const KvPage* pages = place(head, others_, from, n, thread);
      const int missing = others_[from + n - 1].place == newest ? (newest + 1) * kPageTokens - row_.context : 0;
      run_.k.attend(q, group_, kv_.headDim, pages, n * kPageTokens - missing, from == 0 ? all : one);
      if (from > 0) run_.k.merge(all, one, group_, kv_.headDim);
    }
  }

  // At most kMostPages.
  const KvPage* place(int head, const Readings& readings, int first, int count, int thread) {
    KvPage* pages = run_.spanPages(kv_, group_, thread);
    for (int i = 0; i < count; i++) {
      pages[i] = run_.pageOf(kv_, op_, rowOf(head), readings[first + i].place);
      pages[i].blocks = readings[first + i].blocks;
    }
    return pages;
  }

  void scan(int head, int first, int count, const float* q, int thread) {
    const float* rotated = q + group_ * kv_.headDim;
    ScanQueries scanned;
    run_.k.prepareScan(rotated, group_, kv_.headDim, &scanned);
    const KvPage* pages = place(head, coded_, first, count, thread);
    run_.k.scan(&scanned, rotated, group_, kv_.headDim, pages, count, masses(head) + first * group_ * kPageBlocks, tops(head) + first * group_);
  }

  // What one key/value head reads of its coded pages; nothing stands for everything.
  void choose(int head) {
    Selection selection({masses(head), tops(head), size(coded_), group_}, *gathered(head, spans_));
    std::vector<uint8_t> blocks(coded_.size());
    kv_.scanned.fetch_add(1, std::memory_order_relaxed);
    if (!selection.choose(blocks.data())) {
      kv_.fellBack.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    kv_.keptMillionths.fetch_add(static_cast<uint64_t>(selection.kept() * 1e6 + 0.5), std::memory_order_relaxed);
    kv_.chosenBlocks.fetch_add(static_cast<uint64_t>(selection.blocks()), std::memory_order_relaxed);
    for (size_t i = 0; i < coded_.size(); i++)
      if (blocks[i] != 0) chosen_[head].push_back({coded_[i].place, blocks[i]});
  }

  void finish(int head) {
    const bool all = chosen_[head].empty();
    Gathered* sum = gathered(head, all ? 0 : spans_);
    const int first = all ? 1 : 0, last = all ? spans_ : ceilDiv(size(chosen_[head]), kMostPages);
    for (int i = first; i < last; i++) run_.k.merge(sum, gathered(head, i), group_, kv_.headDim);
    run_.finishRow(kv_, op_, rowOf(head), sum);
  }

  Run& run_;
  KvCache& kv_;
  const int32_t* op_;
  const Row row_;
  const int group_, spans_;
  const Readings coded_, others_;
  std::vector<Readings> chosen_;  // [kvHeads]
};

}  // namespace
