// Chooses how weights are fetched ahead by trying: which way is faster depends on the processor, the size of its pages
// and its neighbours, none of which tells. The result of a product is the same either way.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include "kernels.h"

class FetchTrial {
 public:
  using Duration = std::chrono::steady_clock::duration;

  Fetch best = Fetch::kLines;

  // For the next of a series of like products: now and then both ways in turns, else the better one.
  Fetch next() const {
    if (count_ >= 2 * kTries) return best;
    return count_ % 2 == 0 ? Fetch::kLines : Fetch::kPageHeads;
  }

  void took(Duration time) {
    if (count_ < 2 * kTries) times_[count_ % 2][count_ / 2] = time;
    if (count_ == 2 * kTries - 1) best = median(times_[0]) <= median(times_[1]) ? Fetch::kLines : Fetch::kPageHeads;
    count_ = (count_ + 1) % kPeriod;
  }

 private:
  // A token of 48 layers tries each way 24 times; again after 31 tokens, for the first ones may wait for the disk.
  static constexpr int kTries = 24, kPeriod = 32 * 2 * kTries;

  static Duration median(Duration* times) {
    std::nth_element(times, times + kTries / 2, times + kTries);
    return times[kTries / 2];
  }

  int count_ = 0;
  Duration times_[2][kTries] = {};
};
