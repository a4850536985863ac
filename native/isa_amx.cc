// Products of many rows in the tiles of AMX: sums of whole numbers within a group, scaled and added up as the vector
// kernels do it, so the bits are theirs. All other kernels are those of AVX-512, which every CPU with AMX has.
#include "vec_avx512.h"
#include "codes-inl.h"
#include "kernels.h"
#include "tiles_amx.h"

extern const Kernels kAvx512;

namespace {

// Fewer rows leave most of a tile empty.
constexpr int kFewestRows = 8;
constexpr int kMostRows = 16;  // of a tile
constexpr int kMostPanels = 4;  // whose unpacked blocks share the first cache with the rows

// What a code stands for is this much less.
template <int format> constexpr int kZeroCode = format == Q4_0 || format == Q4_S ? 8 : format == Q6_K ? 32 : 0;

// One block of a panel, once for all rows.
struct alignas(64) Unpacked {
  int8_t codes[kBlock / 4][kVector];
  float scale[16][kPanelRows], min[16][kPanelRows];  // of the groups
};

template <int format> void unpack(const uint8_t* block, Unpacked& out) {
  const VB zero = _mm512_set1_epi8(kZeroCode<format>);
  for (int p = 0; p < kBlock / 8; p++) {
    const Codes codes = codesOf<format>(block, p);
    _mm512_store_si512(out.codes[2 * p], _mm512_sub_epi8(codes.even, zero));
    _mm512_store_si512(out.codes[2 * p + 1], _mm512_sub_epi8(codes.odd, zero));
  }
  for (int g = 0; g < kBlock / kGroup<format>; g++) {
    const Scales scales = scalesOf<format>(block, g);
    store(out.scale[g], scales.scale);
    store(out.min[g], scales.min);
  }
}

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
  constexpr int bytes = kGeometry[format].bytes;
  Unpacked weights[kMostPanels];
  alignas(64) int8_t acts[kMostRows][kBlock];
  const int blocks = (columns + kBlock - 1) / kBlock, tiles = (tokens + kMostRows - 1) / kMostRows;
  const int lines = bytes / 64 / tiles + 1;  // of what is read next, for each block that is multiplied
  const uint8_t* const aheadEnd = ahead + static_cast<int64_t>(panels) * blocks * bytes;
  const GroupTiles shapes((tokens + tiles - 1) / tiles, kGroup<format>);
  memset(acts, 0, sizeof acts);
  configure(shapes);
  for (int b = 0; b < blocks; b++) {
    for (int p = 0; p < panels; p++) unpack<format>(first + (static_cast<int64_t>(p) * blocks + b) * bytes, weights[p]);
    for (int i = 0; i < tiles; i++) {
      // As even as can be: a tile takes as long as it has rows.
      const int t0 = tokens * i / tiles, rows = tokens * (i + 1) / tiles - t0;
      for (int r = 0; r < rows; r++) memcpy(acts[r], x[t0 + r][b].values, kBlock);
      for (int p = 0; p < panels; p++) {
        for (int line = 0; line < lines && ahead < aheadEnd; line++, ahead += 64) _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
        addBlock<format>(weights[p], acts[0], x + t0, b, rows, out + (static_cast<int64_t>(p) * tokens + t0) * 16);
      }
    }
  }
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

Kernels table() {
  Kernels all = kAvx512;
  all.name = "amx";
  all.matmul = matmul;
  return all;
}

}  // namespace

extern const Kernels kAmx;
const Kernels kAmx = table();
