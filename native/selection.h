// Which blocks of coded pages the queries of one key/value head read, from the estimates of `Kernels::scan`.
// src/backend/reference/selection.ts is the same, with the same roundings: shares are floats, sums of pages doubles.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>
#include "kernels.h"

// src/backend/backend.ts says what they mean.
constexpr int kLeastBlocks = 2048 / 16, kMostBlocks = 8192 / 16;
constexpr double kEnough = 0.98, kTooLittle = 0.9;

// Of one key/value head: masses [pages][group][kPageBlocks] in units of 2^tops [pages][group].
struct Estimates {
  const float* masses;
  const int32_t* tops;
  int pages, group;
};

class Selection {
 public:
  // `others` has gathered what the queries read anyway.
  Selection(const Estimates& estimates, const Gathered& others) : e_(estimates) {
    std::copy(e_.tops, e_.tops + e_.group, top_);
    for (int p = 1; p < e_.pages; p++)
      for (int g = 0; g < e_.group; g++) top_[g] = std::max(top_[g], e_.tops[p * e_.group + g]);
    for (int g = 0; g < e_.group; g++) {
      if (others.largest[g] * log2e > top_[g]) top_[g] = static_cast<int>(std::ceil(std::min(others.largest[g] * log2e, 0x1p20)));
      covered_[g] = others.total[g] * std::exp2(others.largest[g] * log2e - top_[g]);
      inverse_[g] = covered_[g];
    }
    for (int p = 0; p < e_.pages; p++)
      for (int g = 0; g < e_.group; g++) inverse_[g] += sumOf(masses(p, g)) * power(p, g);
    for (int g = 0; g < e_.group; g++) inverse_[g] = 1 / inverse_[g], covered_[g] *= inverse_[g];
  }

  // Sets each coded page's mask of blocks; false where too little would be kept, so that all must be read.
  bool choose(uint8_t* masks) {
    if (!std::all_of(covered_, covered_ + e_.group, [](double share) { return std::isfinite(share); })) return false;
    const std::vector<uint64_t> order = best();
    const int most = std::min(kMostBlocks, static_cast<int>(order.size()));
    std::fill(masks, masks + e_.pages, uint8_t{0});
    for (blocks_ = 0; blocks_ < most && !(blocks_ >= kLeastBlocks && kept() >= kEnough); blocks_++) take(~static_cast<uint32_t>(order[blocks_]), masks);
    return kept() >= kTooLittle;
  }

  // The share of its attention that the query with the least keeps.
  double kept() const { return *std::min_element(covered_, covered_ + e_.group); }
  int blocks() const { return blocks_; }

 private:
  static constexpr double log2e = 1.4426950408889634;
  static constexpr int leastPower = -30;  // what is so far below a query's likeliest page counts as nothing

  const float* masses(int page, int g) const { return e_.masses + (static_cast<int64_t>(page) * e_.group + g) * kPageBlocks; }
  // By halves, as lanes are.
  static float sumOf(const float* m) { return ((m[0] + m[4]) + (m[2] + m[6])) + ((m[1] + m[5]) + (m[3] + m[7])); }
  double power(int page, int g) const {
    const int below = e_.tops[page * e_.group + g] - top_[g];
    return below < leastPower ? 0 : std::bit_cast<double>(static_cast<uint64_t>(1023 + below) << 52);
  }
  float shareOf(int page, int g) const { return static_cast<float>(power(page, g) * inverse_[g]); }

  // The kMostBlocks best blocks or more, best first: of each the largest of its shares of a query's attention as its bits, which
  // order as it does, above what is larger for the lower of two blocks.
  std::vector<uint64_t> best() const {
    std::vector<float> largest(static_cast<size_t>(e_.pages) * kPageBlocks);
    for (int p = 0; p < e_.pages; p++)
      for (int g = 0; g < e_.group; g++) {
        const float share = shareOf(p, g);
        for (int b = 0; b < kPageBlocks; b++) largest[p * kPageBlocks + b] = std::max(largest[p * kPageBlocks + b], masses(p, g)[b] * share);
      }
    // Their upper bits are counted, so that only those above what enough of them have are sorted.
    constexpr int shift = 20;
    std::vector<int> counts(1 << (32 - shift));
    for (const float share : largest) counts[std::bit_cast<uint32_t>(share) >> shift]++;
    uint32_t least = static_cast<uint32_t>(counts.size());
    for (int taken = 0; least > 0 && taken < kMostBlocks;) taken += counts[--least];
    std::vector<uint64_t> order;
    for (uint32_t block = 0; block < largest.size(); block++) {
      const auto bits = std::bit_cast<uint32_t>(largest[block]);
      if (bits >> shift >= least) order.push_back(static_cast<uint64_t>(bits) << 32 | static_cast<uint32_t>(~block));
    }
    std::sort(order.begin(), order.end(), std::greater<>());
    return order;
  }

  void take(uint32_t block, uint8_t* masks) {
    const uint32_t page = block / kPageBlocks, b = block % kPageBlocks;
    masks[page] = static_cast<uint8_t>(masks[page] | 1 << b);
    for (int g = 0; g < e_.group; g++) covered_[g] += static_cast<double>(masses(page, g)[b] * shareOf(page, g));
  }

  const Estimates e_;
  int top_[kMaxGroup], blocks_ = 0;
  double covered_[kMaxGroup], inverse_[kMaxGroup];
};
