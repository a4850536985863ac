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

  // For the next of a series of like products: now and then all ways in turns, else the best one.
  Fetch next() const { return count_ < kFetches * kTries ? static_cast<Fetch>(count_ % kFetches) : best; }

  void took(Duration time) {
    if (count_ < kFetches * kTries) times_[count_ % kFetches][count_ / kFetches] = time;
    if (count_ == kFetches * kTries - 1) best = fastest();
    count_ = (count_ + 1) % kPeriod;
  }

 private:
  // A token of 48 layers tries each way 16 times; again after 31 tokens, for the first ones may wait for the disk.
  static constexpr int kTries = 16, kPeriod = 32 * kFetches * kTries;

  Fetch fastest() {
    int least = 0;
    Duration medians[kFetches];
    for (int i = 0; i < kFetches; i++) {
      medians[i] = median(times_[i]);
      if (medians[i] < medians[least]) least = i;
    }
    return static_cast<Fetch>(least);
  }

  static Duration median(Duration* times) {
    std::nth_element(times, times + kTries / 2, times + kTries);
    return times[kTries / 2];
  }

  int count_ = 0;
  Duration times_[kFetches][kTries] = {};
};
