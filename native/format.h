// The packed weight formats, as src/weights/format.ts states them, and scalar conversions. Everything is
// file-local so that one instruction set's code can never stand in for another's at link time.
#pragma once
#include <cstdint>
#include <cstring>

enum Format : int { F32, F16, BF16, Q4_0, Q8_0, Q4_K, Q5_K, Q6_K, Q4_S, kFormats };

namespace {

constexpr int kPanelRows = 16;
constexpr int kBlock = 256;  // columns of a packed block and of an activation block

struct Geometry {
  int columns;  // of a block
  int bytes;    // of a block of 16 rows, or of one value
  bool panels;
};

constexpr Geometry kGeometry[kFormats] = {
    {1, 4, false},        {1, 2, false},        {1, 2, false},        {kBlock, 2304, true},
    {kBlock, 4352, true}, {kBlock, 2304, true}, {kBlock, 2816, true}, {kBlock, 3360, true},
    {kBlock, 2208, true},
};

// Byte offsets inside a block; a field has one entry of each row.
constexpr int kVector = 64;  // bytes: a word of four k of each row
constexpr int kQ4Scales = 32 * kVector, kQ8Scales = 64 * kVector, kGroupScales = 2 * kPanelRows;
constexpr int kQ5kFifth = 32 * kVector, kQ5kShift = 512;  // what follows q5_k's fifth bits is q4_k's, 512 B later
constexpr int kQ4kSmall = 32 * kVector, kQ4kLarge = kQ4kSmall + 128, kQ4kD = kQ4kLarge + 64, kQ4kDmin = kQ4kD + 32;
constexpr int kQ6kSection = 3 * kVector, kQ6kUpper = 2 * kVector, kQ6kScales = 16 * kQ6kSection, kQ6kD = kQ6kScales + 256;
constexpr int kQ4sScales = 32 * kVector, kQ4sD = kQ4sScales + 8 * kPanelRows;

inline uint16_t readU16(const uint8_t* p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return v;
}

inline uint32_t readU32(const uint8_t* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

inline float bitsToFloat(uint32_t bits) {
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

inline uint32_t floatToBits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

inline float halfToFloat(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
  if (exponent == 31) return bitsToFloat(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0) return bitsToFloat(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

// Rounds to nearest even, as the hardware conversions do.
inline uint16_t floatToHalf(float f) {
  const uint32_t bits = floatToBits(f), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {  // subnormal half: adding 0.5 leaves its bits at the bottom, rounded
    const float shifted = bitsToFloat(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (floatToBits(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

inline int64_t matrixBytes(int format, int64_t rows, int64_t columns) {
  const Geometry g = kGeometry[format];
  const int64_t blocks = (columns + g.columns - 1) / g.columns;
  return (g.panels ? (rows + kPanelRows - 1) / kPanelRows : rows) * blocks * g.bytes;
}

// Where the nibbles of words 2p and 2p + 1 begin: low and high.
constexpr int planeAt(int format, int p) { return format == Q6_K ? (p >> 1) * kQ6kSection + (p & 1) * kVector : p * kVector; }

// One weight of a block, k inside the block; the definition that the vector code must meet.
inline float blockValue(int format, const uint8_t* block, int row, int k) {
  const int group = k / 32, section = k / 16, word = k / 4, byte = row * 4 + k % 4;
  const int nibble = (block[planeAt(format, word / 2) + byte] >> (word & 1) * 4) & 15;
  switch (format) {
    case Q4_0: return halfToFloat(readU16(block + kQ4Scales + group * kGroupScales + row * 2)) * static_cast<float>(nibble - 8);
    case Q8_0: {
      const int8_t q = static_cast<int8_t>(block[word * kVector + byte]);
      return halfToFloat(readU16(block + kQ8Scales + group * kGroupScales + row * 2)) * static_cast<float>(q);
    }
    case Q4_K:
    case Q5_K: {
      const uint8_t* s = block + (format == Q5_K ? kQ5kShift : 0);
      const uint8_t small = s[kQ4kSmall + group * kPanelRows + row];
      const uint32_t large = readU32(s + kQ4kLarge + row * 4);
      const int scale = (small & 15) | ((large >> (2 * group)) & 3) << 4;
      const int min = (small >> 4) | ((large >> (16 + 2 * group)) & 3) << 4;
      int q = nibble;
      if (format == Q5_K) q |= ((block[kQ5kFifth + word * 8 + byte / 8] >> (byte % 8)) & 1) << 4;
      const float d = halfToFloat(readU16(s + kQ4kD + row * 2)), dmin = halfToFloat(readU16(s + kQ4kDmin + row * 2));
      return d * static_cast<float>(scale) * static_cast<float>(q) - dmin * static_cast<float>(min);
    }
    case Q4_S: {
      const float scale = static_cast<float>(static_cast<int8_t>(block[kQ4sScales + group * kPanelRows + row]));
      return halfToFloat(readU16(block + kQ4sD + row * 2)) * scale * static_cast<float>(nibble - 8);
    }
    default: {  // Q6_K
      const int q = nibble | ((block[section * kQ6kSection + kQ6kUpper + byte] >> (2 * (word & 3))) & 3) << 4;
      const float scale = static_cast<float>(static_cast<int8_t>(block[kQ6kScales + section * kPanelRows + row]));
      return halfToFloat(readU16(block + kQ6kD + row * 2)) * scale * static_cast<float>(q - 32);
    }
  }
}

// One row of a packed matrix as floats.
inline void decodeRow(int format, const uint8_t* matrix, int64_t columns, int64_t row, float* out) {
  if (format == F32) {
    memcpy(out, matrix + row * columns * 4, static_cast<size_t>(columns) * 4);
    return;
  }
  if (format == F16 || format == BF16) {
    const uint8_t* p = matrix + row * columns * 2;
    for (int64_t k = 0; k < columns; k++) {
      const uint16_t v = readU16(p + k * 2);
      out[k] = format == F16 ? halfToFloat(v) : bitsToFloat(static_cast<uint32_t>(v) << 16);
    }
    return;
  }
  const Geometry g = kGeometry[format];
  const uint8_t* panel = matrix + matrixBytes(format, row / kPanelRows * kPanelRows, columns);
  for (int64_t k = 0; k < columns; k++)
    out[k] = blockValue(format, panel + k / g.columns * g.bytes, static_cast<int>(row % kPanelRows), static_cast<int>(k % g.columns));
}

}  // namespace
