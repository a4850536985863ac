// The training kernels that work on one row or a run of values, over the sixteen lanes of a vec_*.h.
#pragma once
#include "exponential-inl.h"
#include "train_kernels.h"

namespace {

inline float squareRootOf(float x) { return __builtin_sqrtf(x); }

void addScaled(float scale, const float* x, int n, Write write, float* y) {
  const VF s = set1(scale);
  for (int i = 0; i < n; i += 16) store(y + i, write == Write::add ? fma(s, load(x + i), load(y + i)) : mul(s, load(x + i)));
}

float dotOf(const float* a, const float* b, int n) {
  VF sum = zero();
  for (int i = 0; i < n; i += 16) sum = fma(load(a + i), load(b + i), sum);
  return sumLanes(sum);
}

double sumOfSquares(const float* x, int n) {
  double total = 0;
  for (int i = 0; i < n; i += 1024) {  // short sums, so that float32 loses nothing
    const int end = n - i < 1024 ? n : i + 1024;
    VF sum = zero();
    for (int j = i; j < end; j += 16) sum = fma(load(x + j), load(x + j), sum);
    total += static_cast<double>(sumLanes(sum));
  }
  return total;
}

// With f = rsqrt(mean(x^2) + epsilon) and g = dy * weight: dx = f g - x f^3 mean(g x).
void rmsNormBack(const float* dy, const float* x, const float* weight, int n, float epsilon, float* dx, float* dWeight) {
  VF squares = zero(), products = zero();
  for (int i = 0; i < n; i += 16) {
    const VF v = load(x + i);
    squares = fma(v, v, squares);
    products = fma(mul(load(dy + i), load(weight + i)), v, products);
  }
  const float count = static_cast<float>(n), factor = 1.0f / squareRootOf(sumLanes(squares) / count + epsilon);
  const VF f = set1(factor), pull = set1(factor * factor * factor * sumLanes(products) / count);
  for (int i = 0; i < n; i += 16) {
    const VF d = load(dy + i), v = load(x + i);
    store(dx + i, add(load(dx + i), fnma(pull, v, mul(f, mul(d, load(weight + i))))));
    store(dWeight + i, fma(d, mul(v, f), load(dWeight + i)));
  }
}

void rotateBack(const float* dy, const float* cos, const float* sin, int headDim, float* out) {
  const int half = headDim / 2;
  for (int i = 0; i < half; i += 16) {
    const VF a = load(dy + i), b = load(dy + half + i), c = load(cos + i), s = load(sin + i);
    store(out + i, fma(b, s, mul(a, c)));
    store(out + half + i, fnma(a, s, mul(b, c)));
  }
}

void siluMultiply(const float* gate, const float* up, int n, float* out) {
  const VF one = set1(1.0f);
  for (int i = 0; i < n; i += 16) {
    const VF g = load(gate + i), e = exponential(sub(zero(), g));
    store(out + i, mul(div(g, add(one, e)), load(up + i)));
  }
}

// d silu(g) = s (1 + g (1 - s)) with s = sigmoid(g).
void siluMultiplyBack(const float* dOut, const float* gate, const float* up, int n, float* dGate, float* dUp) {
  const VF one = set1(1.0f);
  for (int i = 0; i < n; i += 16) {
    const VF g = load(gate + i), d = load(dOut + i), s = div(one, add(one, exponential(sub(zero(), g))));
    store(dUp + i, mul(d, mul(g, s)));
    store(dGate + i, mul(mul(d, load(up + i)), mul(s, fma(g, sub(one, s), one))));
  }
}

// ---- losses

// The first `n` of sixteen lanes, the others as given.
inline VF loadPart(const float* p, int n, float others) {
  if (n >= 16) return load(p);
  float lanes[16];
  for (int i = 0; i < 16; i++) lanes[i] = i < n ? p[i] : others;
  return load(lanes);
}
inline void storePart(float* p, int n, VF v) {
  if (n >= 16) return store(p, v);
  float lanes[16];
  store(lanes, v);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}

inline float largestOf(const float* x, int n) {
  VF m = set1(x[0]);
  for (int i = 0; i < n; i += 16) m = maxOf(m, loadPart(x + i, n - i, x[0]));
  return maxLanes(m);
}

// log of the sum of e^x
inline float logSum(const float* x, int n) {
  const VF m = set1(largestOf(x, n));
  VF sum = zero();
  for (int i = 0; i < n; i += 16) {
    const VF e = exponential(sub(loadPart(x + i, n - i, -1e30f), m));
    sum = add(sum, e);
  }
  // Lanes beyond the end added the smallest exponential, far below a rounding of the largest one's 1.
  float first[16];
  store(first, m);
  return first[0] + __builtin_logf(sumLanes(sum));
}

float crossEntropy(float* logits, int n, int target, float weight) {
  const float log = logSum(logits, n), loss = weight * (log - logits[target]);
  const VF shift = set1(log), w = set1(weight);
  for (int i = 0; i < n; i += 16) storePart(logits + i, n - i, mul(w, exponential(sub(loadPart(logits + i, n - i, 0.0f), shift))));
  logits[target] -= weight;
  return loss;
}

// Forward: d = p - q. Reverse: d = p (log p - log q - KL(p || q)). p is the student's, q the teacher's.
float divergence(float* logits, const float* teacher, int n, float weight, float mix, float* scratch) {
  const VF student = set1(logSum(logits, n)), other = set1(logSum(teacher, n));
  VF forward = zero(), reverse = zero();
  for (int i = 0; i < n; i += 16) {
    const VF logP = sub(loadPart(logits + i, n - i, -1e30f), student), logQ = sub(loadPart(teacher + i, n - i, -1e30f), other);
    const VF gap = sub(logP, logQ);  // 0 in lanes beyond the end
    forward = fnma(exponential(logQ), gap, forward);
    reverse = fma(exponential(logP), gap, reverse);
    storePart(scratch + i, n - i, gap);
  }
  const float toStudent = sumLanes(forward), toTeacher = sumLanes(reverse);
  const VF w = set1(weight), share = set1(mix), rest = set1(1.0f - mix), mean = set1(toTeacher);
  for (int i = 0; i < n; i += 16) {
    const VF p = exponential(sub(loadPart(logits + i, n - i, -1e30f), student));
    const VF q = exponential(sub(loadPart(teacher + i, n - i, -1e30f), other));
    const VF back = mul(p, sub(loadPart(scratch + i, n - i, 0.0f), mean));
    storePart(logits + i, n - i, mul(w, fma(share, back, mul(rest, sub(p, q)))));
  }
  return weight * ((1.0f - mix) * toStudent + mix * toTeacher);
}

// ---- optimiser

inline VF squareRoots(VF v) {
  float lanes[16];
  store(lanes, v);
  for (int i = 0; i < 16; i++) lanes[i] = squareRootOf(lanes[i]);
  return load(lanes);
}

void adamW(float* values, const float* gradient, float* first, float* second, int n, const AdamW& rule) {
  const VF scale = set1(rule.gradientScale), b1 = set1(rule.beta1), b2 = set1(rule.beta2);
  const VF rest1 = set1(1.0f - rule.beta1), rest2 = set1(1.0f - rule.beta2), epsilon = set1(rule.epsilon);
  const VF rate = set1(rule.learningRate / rule.correction1), keep = set1(1.0f - rule.learningRate * rule.decay);
  const VF unbias = set1(1.0f / rule.correction2);
  for (int i = 0; i < n; i += 16) {
    const VF g = mul(load(gradient + i), scale);
    const VF m = fma(rest1, g, mul(b1, load(first + i))), v = fma(rest2, mul(g, g), mul(b2, load(second + i)));
    store(first + i, m);
    store(second + i, v);
    const VF step = div(mul(rate, m), add(squareRoots(mul(v, unbias)), epsilon));
    store(values + i, sub(mul(keep, load(values + i)), step));
  }
}

}  // namespace
