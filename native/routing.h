// Which experts a row goes to, and which rows an expert then has.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// The topK largest logits, the lower expert first where they tie; softmax over them, or over all.
inline void chooseExperts(const float* logits, int experts, int topK, bool normalise, float* out) {
  int32_t* chosen = reinterpret_cast<int32_t*>(out);
  float* weights = out + topK;
  for (int i = 0; i < experts; i++) {
    int at = std::min(i, topK);
    if (at == topK && !(logits[i] > logits[chosen[topK - 1]])) continue;
    if (at == topK) at--;
    for (; at > 0 && logits[i] > logits[chosen[at - 1]]; at--) chosen[at] = chosen[at - 1];
    chosen[at] = i;
  }
  const float largest = logits[chosen[0]];
  double total = 0;
  if (!normalise)
    for (int i = 0; i < experts; i++) total += std::exp(static_cast<double>(logits[i]) - largest);
  for (int j = 0; j < topK; j++) {
    const double p = std::exp(static_cast<double>(logits[chosen[j]]) - largest);
    if (normalise) total += p;
    weights[j] = static_cast<float>(p);
  }
  for (int j = 0; j < topK; j++) weights[j] = static_cast<float>(weights[j] / total);
}

// Some rows of an expert: pairs [from, to).
struct ExpertRows {
  int expert, from, to;
};

// Pairs of a row and one of its experts, grouped by expert.
struct Pairs {
  std::vector<int> from;  // [experts + 1]
  std::vector<int> of;    // [row * topK + j] -> pair
  std::vector<int> row;   // [pair]
  std::vector<int> busy;  // experts with rows, those with most first

  // chosen(row, j): the j-th expert of a row.
  template <class Chosen> Pairs(int rows, int topK, int experts, Chosen chosen) : from(static_cast<size_t>(experts) + 1), of(static_cast<size_t>(rows) * topK), row(of.size()) {
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < topK; j++) from[chosen(r, j) + 1]++;
    for (int i = 0; i < experts; i++) {
      if (from[i + 1] > 0) busy.push_back(i);
      from[i + 1] += from[i];
    }
    std::stable_sort(busy.begin(), busy.end(), [&](int a, int b) { return from[a + 1] - from[a] > from[b + 1] - from[b]; });
    std::vector<int> next = from;
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < topK; j++) {
        const int pair = next[chosen(r, j)]++;
        of[static_cast<size_t>(r) * topK + j] = pair;
        row[pair] = r;
      }
  }

  // All of them, of an expert in as few parts of about the same size as have no more than so many.
  std::vector<ExpertRows> inParts(int most) const {
    std::vector<ExpertRows> all;
    for (int i : busy) {
      const int count = from[i + 1] - from[i], parts = (count + most - 1) / most;
      for (int j = 0; j < parts; j++) all.push_back({i, from[i] + count * j / parts, from[i] + count * (j + 1) / parts});
    }
    return all;
  }
};

}  // namespace
