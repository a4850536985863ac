// The memory that a step needs, taken before it runs.
#include <algorithm>
#include "engine.h"
#include "expert-memory.h"
#include "format.h"
#include "prefill.h"
#include "spans.h"
#include "split.h"

static bool grow(Memory& memory, int64_t bytes) { return memory.bytes() >= bytes || memory.allocate(alignUp(bytes)); }

int Engine::splitSpans(const Step& step, int kvHeads, int rows) const {
  constexpr int tasksPerThread = 4;
  if (kvHeads * rows >= tasksPerThread * pool.threads()) return 0;
  int longest = 0;
  for (const Sequence& s : step.sequences) longest = std::max(longest, s.contextTokens);
  return longest > kSpanTokens ? ceilDiv(longest, kSpanTokens) : 0;
}

static int longestThatChooses(const Step& step) {
  int longest = 0;
  for (const Sequence& s : step.sequences)
    if (s.selectiveFrom < s.contextTokens) longest = std::max(longest, s.contextTokens);
  return longest;
}

bool Engine::reserve(const Step& step) {
  const bool coded = std::any_of(step.tiers.begin(), step.tiers.end(), [](int tier) { return tier != 0; });
  int64_t tensors = 0, acts = 0, between = 64, parts = 0, attention = 0, estimated = 0, most = 1, panels = kMaxPanels, tiles = 0, folded = 0;
  for (size_t t = 0; t < step.rows.size(); t++)
    tensors = std::max(tensors, step.offsets[t] + static_cast<int64_t>(step.rows[t]) * step.strides[t] * 4);
  for (size_t i = 0; i < step.ops.size(); i += kOpWords) {
    const int32_t* a = &step.ops[i + 1];
    auto reads = [&](int x) {
      most = std::max<int64_t>(most, step.rows[x]);
      acts = std::max(acts, step.rows[x] * ceilDiv(step.columns[x], kBlock) * static_cast<int64_t>(sizeof(ActBlock)));
      if (products && kernels->matmulFolded) tiles = std::max(tiles, ceilDiv(step.rows[x], kTileRows) * tiledBytes(step.columns[x]));
    };
    if (step.ops[i] == kLinear) reads(a[0]);
    if (step.ops[i] == kStoreKv && coded && !caches[a[0]]->reserveCodes()) return false;
    if (step.ops[i] == kAttend) {
      const KvCache& kv = *caches[a[2]];
      const int rows = step.rows[a[1]], group = step.columns[a[1]] / (kv.kvHeads * kv.headDim);
      const int longest = a[4] == 1 ? longestThatChooses(step) : 0;
      const int64_t each = gatheredBytes(group, kv.headDim);
      attention = std::max(attention, queryBytes(group, kv.headDim) + 2 * each + static_cast<int64_t>(kMostPages * sizeof(KvPage)));
      attention = std::max(attention, rowBlockBytes(group, kv.headDim, products ? kernels->pagesAtOnce : 0));
      parts = std::max(parts, each * kv.kvHeads * rows * splitSpans(step, kv.kvHeads, rows));
      if (longest > 0) {
        parts = std::max(parts, each * kv.kvHeads * (ceilDiv(longest, kSpanTokens) + 1));
        estimated = std::max(estimated, estimateBytes(ceilDiv(longest, kPageTokens), group) * kv.kvHeads);
      }
    }
    if (step.ops[i] == kRoute) {
      const Weight& w = weights[a[2]];
      int64_t bytes = static_cast<int64_t>(step.rows[a[1]]) * w.rows * 4;
      reads(a[1]);
      if (products && kernels->matmulFolded) {
        const SplitProducts split{*products, w.columns};
        bytes += split.bytes(w.rows), folded = std::max(folded, split.memoryBytes());
      }
      between = std::max(between, bytes);
    }
    if (step.ops[i] == kLargest) between = std::max(between, static_cast<int64_t>(step.rows[a[1]]) * kRowParts * static_cast<int64_t>(sizeof(Largest)));
    if (step.ops[i] == kAddExperts) {
      reads(a[1]);
      if (step.rows[a[1]] < kManyRows) panels = std::max<int64_t>(panels, ceilDiv(std::max(weights[a[4]].rows, weights[a[6]].rows), kPanelRows));
      const int64_t pairs = static_cast<int64_t>(step.rows[a[1]]) * a[3];
      const Weight &gate = weights[a[4]], &down = weights[a[6]];
      if (products && kernels->matmulFolded) folded = std::max(folded, FoldedMemory(gate.columns).bytes);
      between = std::max({between, ExpertMemory(pairs, gate.rows, down.rows).bytes, hiddenBytes(pairs, gate.experts, gate.rows)});
    }
  }
  threadBytes = alignUp(std::max({attention, 2 * panels * most * 16 * 4, folded})) + 4096;
  return grow(arena, tensors) && grow(activations, acts) && grow(tiled, tiles) && grow(expertRows, between) && grow(gathered, parts) && grow(estimates, estimated) && grow(scratch, threadBytes * pool.threads());
}
