// Products of many rows in the tiles of AMX: sums of whole numbers within a group, scaled and added up as the vector
// kernels do it, so the bits are theirs. All other kernels are those of AVX-512, which every CPU with AMX has.
#include "vec_avx512.h"
#include "gemm_x86.h"
namespace {
constexpr int kBlockHeads = 8, kBlockVectors = 2;
}
#include "attend-inl.h"
#include "blocks-inl.h"
#include "codes_amx-inl.h"
#include "folded_amx-inl.h"
#include "rows_amx-inl.h"
#include "tiles_amx.h"

extern const Kernels kAvx512;

namespace {

// Fewer rows leave most of a tile empty.
constexpr int kFewestRows = 8;
constexpr int kMostRows = 16;  // of a tile
// Tiles 0 to 3 take sums, 4 and 6 rows of activations, 5 and 7 codes [group / 4][16][4].
struct GroupTiles : TileShapes {
  GroupTiles(int rows, int group) {
    for (int i = 0; i < 4; i++) shape(i, rows, kPanelRows);
    for (int i = 4; i < 8; i += 2) shape(i, rows, group / 4), shape(i + 1, group / 4, kPanelRows);
  }
};

#define A3B_GROUP(sum, left, right, group)                                  \
  _tile_zero(sum);                                                          \
  _tile_loadd(left, acts + (group) * kGroup<format>, kBlock);               \
  _tile_loadd(right, weights.codes[(group) * kGroup<format> / 4], kVector); \
  _tile_dpbssd(sum, left, right);                                           \
  _tile_stored(sum, sums[(group) % 4], kVector)

// One block of one panel over a tile's rows, added to out[row][16].
template <int format>
void addBlock(const Unpacked& weights, const int8_t* acts, const ActBlock* const* x, int b, int rows, float* out) {
  alignas(64) int32_t sums[4][kMostRows][kPanelRows];
  for (int first = 0; first < kBlock / kGroup<format>; first += 4) {
    touch();
    A3B_GROUP(0, 4, 5, first);
    A3B_GROUP(1, 6, 7, first + 1);
    A3B_GROUP(2, 4, 5, first + 2);
    A3B_GROUP(3, 6, 7, first + 3);
    touch();
    for (int r = 0; r < rows; r++) {
      const ActBlock& act = x[r][b];
      VF acc = b == 0 && first == 0 ? zero() : load(out + r * 16);
      for (int i = 0; i < 4; i++) {
        const int g = first + i, actGroup = g * kGroup<format> / 32;
        acc = fma(toFloat(loadInt(sums[i][r])), mul(load(weights.scale[g]), set1(act.scale[actGroup])), acc);
        if constexpr (format == Q4_K || format == Q5_K) acc = fnma(load(weights.min[g]), set1(act.scaledSum[actGroup]), acc);
      }
      store(out + r * 16, acc);
    }
  }
}

// At most kMostPanels panels.
template <int format>
void multiply(const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, const uint8_t* ahead, float* out) {
  alignas(64) int8_t acts[kMostRows][kBlock] = {};
  const int tiles = (tokens + kMostRows - 1) / kMostRows, lines = kGeometry[format].bytes / 64 / tiles + 1;
  configure(GroupTiles((tokens + tiles - 1) / tiles, kGroup<format>));
  const VB zero = _mm512_set1_epi8(kZeroCode<format>);
  auto signedCodes = [&](VB codes) { return _mm512_sub_epi8(codes, zero); };
  overBlocks<format>(first, panels, columns, tokens, kMostRows, ahead, signedCodes, [&](const Unpacked* weights, int b, int t0, int rows, Ahead& ahead) {
    for (int r = 0; r < rows; r++) memcpy(acts[r], x[t0 + r][b].values, kBlock);
    for (int p = 0; p < panels; p++) {
      ahead.fetchFar(lines);
      addBlock<format>(weights[p], acts[0], x + t0, b, rows, out + (static_cast<int64_t>(p) * tokens + t0) * 16);
    }
  });
  release();
}

#undef A3B_GROUP

void matmulOf(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, const uint8_t* ahead, float* out) {
  switch (format) {
    case Q4_0: return multiply<Q4_0>(first, panels, columns, x, tokens, ahead, out);
    case Q8_0: return multiply<Q8_0>(first, panels, columns, x, tokens, ahead, out);
    case Q4_K: return multiply<Q4_K>(first, panels, columns, x, tokens, ahead, out);
    case Q4_S: return multiply<Q4_S>(first, panels, columns, x, tokens, ahead, out);
    case Q5_K: return multiply<Q5_K>(first, panels, columns, x, tokens, ahead, out);
    default: return multiply<Q6_K>(first, panels, columns, x, tokens, ahead, out);
  }
}

void matmul(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens, Fetch fetch, const uint8_t* ahead, float* out) {
  if (tokens < kFewestRows) return kAvx512.matmul(format, first, panels, columns, x, tokens, fetch, ahead, out);
  const int64_t panelBytes = matrixBytes(format, kPanelRows, columns);
  for (int p = 0; p < panels; p += kMostPanels) {
    const int count = panels - p < kMostPanels ? panels - p : kMostPanels;
    matmulOf(format, first + p * panelBytes, count, columns, x, tokens, ahead + p * panelBytes, out + static_cast<int64_t>(p) * tokens * 16);
  }
}

void attend(const float* q, int group, int headDim, const KvPage* pages, int context, Gathered* out) {
  bool coded = false;
  for (int i = 0; i * kPageTokens < context; i++) coded |= pages[i].tier != 0;
  if (!fitsTiles(group, headDim) || !coded) return kAvx512.attend(q, group, headDim, pages, context, out);
  attendChunks<kTileChunks, TileCodes>(q, group, pages, context, out);
}

void attendBlocks(const float* q, int group, int headDim, const KvPage* pages, int n, Gathered* out) {
  if (!fitsTiles(group, headDim)) return kAvx512.attendBlocks(q, group, headDim, pages, n, out);
  attendSomeBlocks<kTileChunks, TileCodes>(q, group, pages, n, out);
}

void scan(const ScanQueries* q, const float* rotated, int group, int headDim, const KvPage* pages, int count, float* masses, int32_t* tops) {
  if (!fitsTiles(group, headDim)) return kAvx512.scan(q, rotated, group, headDim, pages, count, masses, tops);
  scanPages<kTileHeadDim / 32>(TileScan(*q, group), rotated, group, pages, count, masses, tops);
}

// Four tiles of sums, whose factors are two tiles of rows and two of columns.
int64_t peak(Peak what, int64_t rounds, uint8_t seed, float* sink) {
  if (what == Peak::pairs) return kAvx512.peak(what, rounds, seed, sink);
  alignas(64) uint8_t same[kMostRows * kVector];
  alignas(64) int32_t sums[kMostRows * kPanelRows];
  memset(same, seed, sizeof same);
  TileShapes shapes;
  for (int i = 0; i < 8; i++) shapes.shape(i, kMostRows, kPanelRows);
  configure(shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, same, kVector);
  _tile_loadd(5, same, kVector);
  _tile_loadd(6, same, kVector);
  _tile_loadd(7, same, kVector);
  for (int64_t i = 0; i < rounds; i++) {
    if (what == Peak::bytes) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    } else {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kVector);
  touch();
  *sink = static_cast<float>(sums[0]);
  release();
  return 4 * kMostRows * kPanelRows * (what == Peak::bytes ? 64 : 32);
}

}  // namespace

// Not a constant: it would be filled in when the addon is loaded, by code that not every processor has.
Kernels amxKernels();
Kernels amxKernels() {
  Kernels all = kAvx512;
  all.name = "amx";
  all.matmul = matmul;
  all.attend = attend;
  all.attendBlocks = attendBlocks;
  all.scan = scan;
  all.packPage = packHalves;
  all.pagesAtOnce = kPagesAtOnce;
  all.attendPacked = attendPacked;
  all.quantiseRow = quantiseRow;
  all.tileRows = tileRows;
  all.matmulFolded = matmulFolded;
  all.peak = peak;
  return all;
}
