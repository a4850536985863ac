// The largest logits of a row without sorting them: almost every block of 64 fails one comparison with the worst kept.
#pragma once
#include "kernels.h"

namespace {

// Keeps x if it is among the k largest so far: best first, equals in the order in which they came.
inline void keep(Largest& kept, int k, float x, int32_t id) {
  if (kept.count == k && !(x > kept.values[k - 1])) return;
  int at = kept.count < k ? kept.count++ : k - 1;
  for (; at > 0 && kept.values[at - 1] < x; at--) kept.values[at] = kept.values[at - 1], kept.ids[at] = kept.ids[at - 1];
  kept.values[at] = x;
  kept.ids[at] = id;
}

void largest(const float* x, int first, int last, int k, Largest* out) {
  out->count = 0;
  VF nothing = zero();  // stays 0 unless a value is not finite
  int i = first;
  for (; i + 64 <= last; i += 64) {
    const VF a = load(x + i), b = load(x + i + 16), c = load(x + i + 32), d = load(x + i + 48);
    nothing = fma(a, zero(), fma(b, zero(), fma(c, zero(), fma(d, zero(), nothing))));
    if (out->count == k && !(maxLanes(maxOf(maxOf(a, b), maxOf(c, d))) > out->values[k - 1])) continue;
    for (int j = i; j < i + 64; j++) keep(*out, k, x[j], j);
  }
  float rest = sumLanes(nothing);
  for (; i < last; i++) rest += x[i] * 0, keep(*out, k, x[i], i);
  out->finite = rest == 0;
}

// into, then from: two neighbouring parts of a row.
void joinLargest(Largest* into, const Largest* from, int k) {
  for (int i = 0; i < from->count; i++) keep(*into, k, from->values[i], from->ids[i]);
  into->finite &= from->finite;
}

}  // namespace
