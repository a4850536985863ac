#include "train.h"
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

extern const TrainKernels kTrainScalar;
#if defined(__x86_64__) || defined(_M_X64)
extern const TrainKernels kTrainAvx2, kTrainAvx512, kTrainAvx512Bf16, kTrainAmx;
static const TrainKernels* const sets[] = {&kTrainAvx512, &kTrainAvx2, &kTrainScalar};
#elif defined(__aarch64__)
extern const TrainKernels kTrainNeon;
static const TrainKernels* const sets[] = {&kTrainNeon, &kTrainScalar};
#else
static const TrainKernels* const sets[] = {&kTrainScalar};
#endif

const TrainKernels* trainKernelsFor(const char* name) {
  if (strcmp(name, "amx") == 0) return trainKernelsFor("avx512");  // whose lanes it has
  for (const TrainKernels* set : sets)
    if (strcmp(set->name, name) == 0) return set;
  return &kTrainScalar;
}

const TrainKernels* bfloatKernelsFor([[maybe_unused]] const char* name) {
#if defined(__x86_64__) || defined(_M_X64)
  if (strcmp(name, "amx") == 0) return &kTrainAmx;
  if (strcmp(name, kTrainAvx512Bf16.name) == 0 && hasBfloatProducts()) return &kTrainAvx512Bf16;
#endif
  return nullptr;
}

namespace {

// Of a product that stays in the second cache, packing and all.
std::chrono::steady_clock::duration productTime(const GemmKernels& g) {
  constexpr int kSide = 64, kInner = 512;
  const int pass = std::min(kInner, kDepth * g.perWord), tries = 16;
  std::vector<float> x(kSide * kInner, 0.5f), left(x.size()), right(roundUp(kSide, g.columns) * kInner), out(kSide * kSide);
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < tries; i++) {
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < kInner; k += pass) {
      g.packLeft({x.data() + k, kInner, 1}, kSide, pass, 1.0f, left.data());
      g.packRight({x.data() + k, 1, kInner}, pass, kSide, right.data());
      g.multiply({left.data(), static_cast<int64_t>(g.rows) * wordsOf(pass, g.perWord), g.rows}, right.data(), kSide, kSide, pass, Write::add,
                 out.data(), kSide);
    }
    best = std::min(best, std::chrono::steady_clock::now() - start);
  }
  return best;
}

}  // namespace

// One instruction for two products is a gain or none, by the processor: on Zen 4 products are twice as fast by it, on
// Emerald Rapids a third slower. So both are tried, once; tiles need no trial.
const TrainKernels* fastestKernelsFor(const char* name) {
  const TrainKernels *exact = trainKernelsFor(name), *rounded = bfloatKernelsFor(name);
  if (!rounded) return exact;
  if (strcmp(name, "amx") == 0) return rounded;
  static const bool pays = productTime(rounded->gemm) < productTime(exact->gemm);
  return pays ? rounded : exact;
}

bool Trainer::call(const std::function<bool()>& job) {
  std::mutex mutex;
  std::condition_variable done;
  enum { running, failed, succeeded } state = running;
  pool.post([&] {
    const bool ok = job();
    std::lock_guard lock(mutex);
    state = ok ? succeeded : failed;
    done.notify_one();
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return state != running; });
  return state == succeeded;
}

float* Trainer::take(Memory& memory, int64_t floats) {
  if (memory.bytes() < floats * 4 && !memory.allocate(std::max(floats * 4, 2 * memory.bytes()))) return nullptr;
  return reinterpret_cast<float*>(memory.data());
}

// ---- products

namespace {

constexpr int kPackColumns = 256;

// A block of a product's result: one task.
struct Tile {
  int product, row, column;
};

struct TileSize {
  int rows, columns;
};

// Large enough to pay for packing the left factor, small enough for every thread to find work.
TileSize tileSize(const Product* list, int count, int threads) {
  TileSize size{128, 256};
  auto tiles = [&] {
    int64_t n = 0;
    for (int i = 0; i < count; i++)
      n += static_cast<int64_t>((list[i].m + size.rows - 1) / size.rows) * ((list[i].n + size.columns - 1) / size.columns);
    return n;
  };
  while (tiles() < 8 * threads && size.rows > 32) size.columns > size.rows ? size.columns /= 2 : size.rows /= 2;
  return size;
}

}  // namespace

// Right factors are packed once for all threads, left ones by each task for itself.
bool Trainer::products(const Product* list, int count, Write write, Factors factors) {
  const GemmKernels& g = factors == Factors::exact ? exact->gemm : train->gemm;
  const int pass = kDepth * g.perWord;
  std::vector<int64_t> place(count);
  std::vector<Tile> packs, tiles;
  const TileSize size = tileSize(list, count, pool.threads());
  int64_t total = 0;
  for (int p = 0; p < count; p++) {
    const Product& product = list[p];
    place[p] = total;
    total += static_cast<int64_t>(roundUp(product.n, g.columns)) * wordsOf(product.k, g.perWord);
    if (product.m == 0) continue;
    for (int k = 0; k < product.k; k += pass)
      for (int j = 0; j < product.n; j += kPackColumns) packs.push_back({p, k, j});
    for (int i = 0; i < product.m; i += size.rows)
      for (int j = 0; j < product.n; j += size.columns) tiles.push_back({p, i, j});
  }
  const int64_t leftFloats = static_cast<int64_t>(size.rows + g.rows) * kDepth;
  float *right = take(packed_, total), *left = take(scratch_, leftFloats * pool.threads());
  if (!right || !left) return false;
  // Column j of the pass that begins at depth k.
  auto panels = [&](int p, int k, int depth, int j) {
    const int64_t wide = roundUp(list[p].n, g.columns);
    return right + place[p] + wide * (k / g.perWord) + static_cast<int64_t>(j) * wordsOf(depth, g.perWord);
  };
  pool.run(static_cast<int>(packs.size()), 1, [&](int first, int last, int) {
    for (int t = first; t < last; t++) {
      const auto [p, k, j] = packs[t];
      const int depth = std::min(pass, list[p].k - k);
      g.packRight(from(list[p].b, k, j), depth, std::min(kPackColumns, list[p].n - j), panels(p, k, depth, j));
    }
  });
  pool.run(static_cast<int>(tiles.size()), 1, [&](int first, int last, int thread) {
    float* own = left + leftFloats * thread;
    for (int t = first; t < last; t++) {
      const auto [p, i, j] = tiles[t];
      const Product& product = list[p];
      const int rows = std::min(size.rows, product.m - i), columns = std::min(size.columns, product.n - j);
      for (int k = 0; k < product.k; k += pass) {
        const int depth = std::min(pass, product.k - k);
        g.packLeft(from(product.a, i, k), rows, depth, 1.0f, own);
        g.multiply({own, static_cast<int64_t>(g.rows) * wordsOf(depth, g.perWord), g.rows}, panels(p, k, depth, j), rows, columns, depth,
                   k == 0 ? write : Write::add, product.c + i * product.stride + j, product.stride);
      }
    }
  });
  return true;
}

// ---- norms and rotation

namespace {
constexpr int kRowBlock = 64;
}

template <class Row> bool Trainer::sumByBlocks(int rows, int columns, float* dWeight, Row row) {
  const int blocks = (rows + kRowBlock - 1) / kRowBlock;
  float* partial = take(partial_, static_cast<int64_t>(blocks) * columns);
  if (!partial) return false;
  pool.run(blocks, 1, [&](int first, int last, int) {
    for (int b = first; b < last; b++) {
      float* sum = partial + static_cast<int64_t>(b) * columns;
      memset(sum, 0, static_cast<size_t>(columns) * 4);
      for (int r = b * kRowBlock; r < std::min(rows, (b + 1) * kRowBlock); r++) row(r, sum);
    }
  });
  for (int b = 0; b < blocks; b++) train->addScaled(1.0f, partial + static_cast<int64_t>(b) * columns, columns, Write::add, dWeight);
  return true;
}

bool Trainer::rmsNorm(Rows s, const float* x, const float* weight, float* y) {
  pool.run(s.rows, 16, [&](int first, int last, int) {
    for (int64_t r = first; r < last; r++) kernels->rmsNorm(x + r * s.columns, weight, s.columns, s.epsilon, y + r * s.columns);
  });
  return true;
}

bool Trainer::rmsNormBack(Rows s, const float* dy, const float* x, const float* weight, float* dx, float* dWeight) {
  return sumByBlocks(s.rows, s.columns, dWeight, [&](int64_t r, float* sum) {
    const int64_t at = r * s.columns;
    train->rmsNormBack(dy + at, x + at, weight, s.columns, s.epsilon, dx + at, sum);
  });
}

bool Trainer::normRope(const Heads& s, const float* x, float* y) {
  const int half = s.headDim / 2;
  pool.run(s.rows, 16, [&](int first, int last, int) {
    for (int r = first; r < last; r++) {
      const int64_t angle = static_cast<int64_t>(s.positions[r]) * half;
      for (int h = 0; h < s.heads; h++) {
        const int64_t at = (static_cast<int64_t>(r) * s.heads + h) * s.headDim;
        memcpy(y + at, x + at, static_cast<size_t>(s.headDim) * 4);
        kernels->normRope(y + at, s.weight, s.cos + angle, s.sin + angle, s.headDim, s.epsilon);
      }
    }
  });
  return true;
}

bool Trainer::normRopeBack(const Heads& s, const float* dy, const float* x, float* dx, float* dWeight) {
  const int half = s.headDim / 2;
  return sumByBlocks(s.rows, s.headDim, dWeight, [&](int r, float* sum) {
    const int64_t angle = static_cast<int64_t>(s.positions[r]) * half;
    alignas(64) float back[1024];
    for (int h = 0; h < s.heads; h++) {
      const int64_t at = (static_cast<int64_t>(r) * s.heads + h) * s.headDim;
      train->rotateBack(dy + at, s.cos + angle, s.sin + angle, s.headDim, back);
      memset(dx + at, 0, static_cast<size_t>(s.headDim) * 4);
      train->rmsNormBack(back, x + at, s.weight, s.headDim, s.epsilon, dx + at, sum);
    }
  });
}

// ---- attention

HeadShape Trainer::shapeOf(const Attention& a, int sequence) const {
  const double scale = 1.0 / __builtin_sqrt(static_cast<double>(a.headDim));
  return {a.starts[sequence + 1] - a.starts[sequence], a.headDim, static_cast<int64_t>(a.heads) * a.headDim,
          static_cast<int64_t>(a.kvHeads) * a.headDim, static_cast<float>(scale)};
}

int Trainer::longest(const Attention& a) const {
  int most = 0;
  for (int i = 0; i < a.sequences; i++) most = std::max(most, a.starts[i + 1] - a.starts[i]);
  return most;
}

namespace {

int blocksIn(int length) { return (length + kAttendBlock - 1) / kAttendBlock; }

// Blocks before each sequence, and of all.
std::vector<int> blockStarts(const Attention& a) {
  std::vector<int> starts(a.sequences + 1, 0);
  for (int i = 0; i < a.sequences; i++) starts[i + 1] = starts[i] + blocksIn(a.starts[i + 1] - a.starts[i]);
  return starts;
}

}  // namespace

// Packed heads lie [sequence][kvHead][block].
bool Trainer::packHeads(const Attention& a, const float* x, void (*pack)(const float*, HeadShape, float*), float* out) {
  const auto blocks = blockStarts(a);
  const int64_t size = attendBlockFloats(a.headDim);
  pool.run(a.sequences * a.kvHeads, 1, [&](int first, int last, int) {
    for (int t = first; t < last; t++) {
      const int i = t / a.kvHeads, h = t % a.kvHeads, n = blocks[i + 1] - blocks[i];
      const HeadShape shape = shapeOf(a, i);
      pack(x + a.starts[i] * shape.kvStride + h * a.headDim, shape, out + (blocks[i] * a.kvHeads + h * n) * size);
    }
  });
  return true;
}

bool Trainer::attend(const Attention& a, float* out, float* lse) {
  const auto blocks = blockStarts(a);
  const int64_t size = attendBlockFloats(a.headDim), all = blocks[a.sequences] * a.kvHeads * size, own = attendScratch(a.headDim);
  float *keys = take(packed_, 2 * all), *scratch = take(scratch_, own * pool.threads());
  if (!keys || !scratch) return false;
  packHeads(a, a.k, train->packAcross, keys);
  packHeads(a, a.v, train->packAlong, keys + all);
  const int group = a.heads / a.kvHeads;
  pool.run(blocks[a.sequences] * a.heads, 1, [&](int first, int last, int thread) {
    for (int t = first; t < last; t++) {
      const int block = t / a.heads, h = t % a.heads;
      const int i = static_cast<int>(std::upper_bound(blocks.begin(), blocks.end(), block) - blocks.begin()) - 1;
      const HeadShape shape = shapeOf(a, i);
      const int64_t at = a.starts[i] * shape.stride + h * a.headDim;
      const float* k = keys + (blocks[i] * a.kvHeads + h / group * (blocks[i + 1] - blocks[i])) * size;
      train->attend(a.q + at, k, k + all, shape, (block - blocks[i]) * kAttendBlock, out + at, lse + a.starts[i] * a.heads + h,
                    a.heads, scratch + own * thread);
    }
  });
  return true;
}

// Every query head has its own share of the keys' and values' gradients; shares are added in the order of the heads.
bool Trainer::attendBack(const Attention& a, const float* dOut, const float* out, const float* lse, float* dq, float* dk, float* dv) {
  const auto blocks = blockStarts(a);
  const int64_t size = attendBlockFloats(a.headDim), all = blocks[a.sequences] * a.kvHeads * size;
  const int64_t own = attendBackScratch(longest(a), a.headDim), wide = static_cast<int64_t>(a.rows()) * a.heads * a.headDim;
  float *keys = take(packed_, 3 * all), *scratch = take(scratch_, own * pool.threads()), *shares = take(partial_, 2 * wide);
  if (!keys || !scratch || !shares) return false;
  packHeads(a, a.k, train->packAcross, keys);
  packHeads(a, a.k, train->packAlong, keys + all);
  packHeads(a, a.v, train->packAcross, keys + 2 * all);
  const int group = a.heads / a.kvHeads;
  pool.run(a.sequences * a.heads, 1, [&](int first, int last, int thread) {
    for (int t = first; t < last; t++) {
      const int i = t / a.heads, h = t % a.heads;
      const HeadShape shape = shapeOf(a, i);
      const int64_t at = a.starts[i] * shape.stride + h * a.headDim;
      const float* k = keys + (blocks[i] * a.kvHeads + h / group * (blocks[i + 1] - blocks[i])) * size;
      train->attendBack({a.q + at, out + at, dOut + at, lse + a.starts[i] * a.heads + h, a.heads, k, k + all, k + 2 * all,
                         dq + at, shares + at, shares + wide + at}, shape, scratch + own * thread);
    }
  });
  pool.run(a.rows() * a.kvHeads, 16, [&](int first, int last, int) {
    for (int64_t t = first; t < last; t++)
      for (int g = 0; g < group; g++) {
        const int64_t from = (t * group + g) * a.headDim, to = t * a.headDim;
        train->addScaled(1.0f, shares + from, a.headDim, g == 0 ? Write::set : Write::add, dk + to);
        train->addScaled(1.0f, shares + wide + from, a.headDim, g == 0 ? Write::set : Write::add, dv + to);
      }
  });
  return true;
}

// ---- values and rows

namespace {
constexpr int kRun = 1 << 14;  // values of one task
int runs(int64_t n) { return static_cast<int>((n + kRun - 1) / kRun); }
int runLength(int64_t at, int64_t n) { return static_cast<int>(std::min<int64_t>(kRun, n - at)); }
}  // namespace

bool Trainer::siluMultiply(int64_t n, const float* gate, const float* up, float* out) {
  pool.run(runs(n), 1, [&](int first, int last, int) {
    for (int64_t t = first, at = t * kRun; t < last; t++, at += kRun)
      train->siluMultiply(gate + at, up + at, runLength(at, n), out + at);
  });
  return true;
}

bool Trainer::siluMultiplyBack(int64_t n, const float* dOut, const float* gate, const float* up, float* dGate, float* dUp) {
  pool.run(runs(n), 1, [&](int first, int last, int) {
    for (int64_t t = first, at = t * kRun; t < last; t++, at += kRun)
      train->siluMultiplyBack(dOut + at, gate + at, up + at, runLength(at, n), dGate + at, dUp + at);
  });
  return true;
}

bool Trainer::adamW(int64_t n, const AdamW& rule, const float* gradient, float* values, float* first, float* second) {
  pool.run(runs(n), 1, [&](int from, int to, int) {
    for (int64_t t = from, at = t * kRun; t < to; t++, at += kRun)
      train->adamW(values + at, gradient + at, first + at, second + at, runLength(at, n), rule);
  });
  return true;
}

bool Trainer::sumsOfSquares(int64_t n, const float* x, double* sums) {
  pool.run(static_cast<int>((n + kSumBlock - 1) / kSumBlock), 1, [&](int first, int last, int) {
    for (int64_t t = first; t < last; t++)
      sums[t] = train->sumOfSquares(x + t * kSumBlock, static_cast<int>(std::min<int64_t>(kSumBlock, n - t * kSumBlock)));
  });
  return true;
}

bool Trainer::gather(int rows, int columns, const int32_t* from, const float* x, float* out) {
  pool.run(rows, 64, [&](int first, int last, int) {
    for (int64_t r = first; r < last; r++)
      memcpy(out + r * columns, x + static_cast<int64_t>(from[r]) * columns, static_cast<size_t>(columns) * 4);
  });
  return true;
}

// Threads share the columns, so that a row of the table adds its rows of x in order.
bool Trainer::scatter(int rows, int columns, const int32_t* to, const float* x, float* table) {
  constexpr int width = 64;
  pool.run((columns + width - 1) / width, 1, [&](int first, int last, int) {
    const int from = first * width, n = std::min(columns, last * width) - from;
    for (int64_t r = 0; r < rows; r++)
      train->addScaled(1.0f, x + r * columns + from, n, Write::add, table + static_cast<int64_t>(to[r]) * columns + from);
  });
  return true;
}

bool Trainer::mix(const Mixture& m, const float* x, float* y) {
  pool.run(m.rows, 16, [&](int first, int last, int) {
    for (int64_t r = first; r < last; r++)
      for (int64_t i = r * m.topK; i < (r + 1) * m.topK; i++)
        train->addScaled(m.weights ? m.weights[i] : 1.0f, x + static_cast<int64_t>(m.places[i]) * m.columns, m.columns, Write::add, y + r * m.columns);
  });
  return true;
}

bool Trainer::mixBack(const Mixture& m, const float* dy, const float* x, float* dx, float* dWeights) {
  pool.run(m.rows, 16, [&](int first, int last, int) {
    for (int64_t r = first; r < last; r++)
      for (int64_t i = r * m.topK; i < (r + 1) * m.topK; i++) {
        const int64_t place = static_cast<int64_t>(m.places[i]) * m.columns;
        dWeights[i] = train->dot(dy + r * m.columns, x + place, m.columns);
        train->addScaled(m.weights[i], dy + r * m.columns, m.columns, Write::set, dx + place);
      }
  });
  return true;
}

bool Trainer::crossEntropy(int rows, int vocab, const int32_t* targets, const float* weights, float* logits, float* losses) {
  pool.run(rows, 4, [&](int first, int last, int) {
    for (int64_t r = first; r < last; r++) losses[r] = train->crossEntropy(logits + r * vocab, vocab, targets[r], weights[r]);
  });
  return true;
}

bool Trainer::divergence(int rows, int vocab, float mix, const float* teacher, const float* weights, float* logits, float* losses) {
  const int64_t own = roundUp(vocab, 16);
  float* scratch = take(scratch_, own * pool.threads());
  if (!scratch) return false;
  pool.run(rows, 4, [&](int first, int last, int thread) {
    for (int64_t r = first; r < last; r++)
      losses[r] = train->divergence(logits + r * vocab, teacher + r * vocab, vocab, weights[r], mix, scratch + own * thread);
  });
  return true;
}
