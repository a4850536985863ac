// The tiles of AMX as loops, by Intel's manual: for tests on a machine that has none (scripts/test-amx.mjs). What the
// instructions would refuse ends the process.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kSoftTiles = 8, kSoftRows = 16, kSoftRowBytes = 64;

struct SoftTiles {
  struct Shape {
    int rows, rowBytes;
  } shapes[kSoftTiles];
  alignas(64) uint8_t data[kSoftTiles][kSoftRows][kSoftRowBytes];
  bool configured;
};
thread_local SoftTiles softTiles;

inline void softCheck(bool right) {
  if (!right) abort();
}

inline SoftTiles::Shape softShape(int tile) {
  softCheck(softTiles.configured && tile >= 0 && tile < kSoftTiles && softTiles.shapes[tile].rows > 0);
  return softTiles.shapes[tile];
}

inline void softConfigure(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  softCheck(bytes[0] == 1 && bytes[1] == 0);
  for (int i = 2; i < 16; i++) softCheck(bytes[i] == 0);
  for (int tile = 0; tile < kSoftTiles; tile++) {
    uint16_t rowBytes;
    memcpy(&rowBytes, bytes + 16 + 2 * tile, 2);
    const int rows = bytes[48 + tile];
    softCheck(rows <= kSoftRows && rowBytes <= kSoftRowBytes && (rows == 0) == (rowBytes == 0));
    softTiles.shapes[tile] = {rows, rowBytes};
  }
  memset(softTiles.data, 0, sizeof softTiles.data);
  softTiles.configured = true;
}

inline void softRelease() { softTiles.configured = false; }

inline void softZero(int tile) {
  softShape(tile);
  memset(softTiles.data[tile], 0, sizeof softTiles.data[tile]);
}

inline void softLoad(int tile, const void* from, int64_t stride) {
  const auto shape = softShape(tile);
  memset(softTiles.data[tile], 0, sizeof softTiles.data[tile]);
  for (int r = 0; r < shape.rows; r++) memcpy(softTiles.data[tile][r], static_cast<const uint8_t*>(from) + r * stride, shape.rowBytes);
}

inline void softStore(int tile, void* to, int64_t stride) {
  const auto shape = softShape(tile);
  for (int r = 0; r < shape.rows; r++) memcpy(static_cast<uint8_t*>(to) + r * stride, softTiles.data[tile][r], shape.rowBytes);
}

// fn(row, word, column) over the products of two tiles that fit together.
template <class Fn> inline void softProducts(int sum, int left, int right, Fn fn) {
  const auto s = softShape(sum), a = softShape(left), b = softShape(right);
  softCheck(sum != left && sum != right && left != right);
  softCheck(a.rows == s.rows && b.rowBytes == s.rowBytes && b.rows * 4 == a.rowBytes);
  for (int m = 0; m < s.rows; m++)
    for (int k = 0; k < b.rows; k++)
      for (int n = 0; n < s.rowBytes / 4; n++) fn(m, k, n);
}

template <class Left, class Right> inline void softBytes(int sum, int left, int right) {
  auto& data = softTiles.data;
  softProducts(sum, left, right, [&](int m, int k, int n) {
    int32_t total;
    memcpy(&total, data[sum][m] + 4 * n, 4);
    for (int i = 0; i < 4; i++) total += static_cast<Left>(data[left][m][4 * k + i]) * static_cast<Right>(data[right][k][4 * n + i]);
    memcpy(data[sum][m] + 4 * n, &total, 4);
  });
}

inline float softBfloat(const uint8_t* from) {
  uint16_t half;
  memcpy(&half, from, 2);
  const uint32_t word = static_cast<uint32_t>(half) << 16;
  float value;
  memcpy(&value, &word, 4);
  return value;
}

// The even and the odd halves of words are summed apart, then both are added.
inline void softBfloats(int sum, int left, int right) {
  auto& data = softTiles.data;
  float sums[kSoftRows][kSoftRowBytes / 4][2] = {};
  softProducts(sum, left, right, [&](int m, int k, int n) {
    for (int i = 0; i < 2; i++)
      sums[m][n][i] = __builtin_fmaf(softBfloat(data[left][m] + 4 * k + 2 * i), softBfloat(data[right][k] + 4 * n + 2 * i), sums[m][n][i]);
  });
  const auto shape = softShape(sum);
  for (int m = 0; m < shape.rows; m++)
    for (int n = 0; n < shape.rowBytes / 4; n++) {
      float total;
      memcpy(&total, data[sum][m] + 4 * n, 4);
      total += sums[m][n][0] + sums[m][n][1];
      memcpy(data[sum][m] + 4 * n, &total, 4);
    }
}

}  // namespace

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_dpbuud
#undef _tile_dpbf16ps
#define _tile_loadconfig softConfigure
#define _tile_release softRelease
#define _tile_zero softZero
#define _tile_loadd softLoad
#define _tile_stream_loadd softLoad
#define _tile_stored softStore
#define _tile_dpbssd (softBytes<int8_t, int8_t>)
#define _tile_dpbsud (softBytes<int8_t, uint8_t>)
#define _tile_dpbuud (softBytes<uint8_t, uint8_t>)
#define _tile_dpbf16ps softBfloats
