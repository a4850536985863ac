// What products read of a packed block, over the lanes of a vec_*.h: codes of all sixteen rows, and scales.
#pragma once
#include "format.h"

namespace {

// Columns that share a scale.
template <int format> constexpr int kGroup = format == Q6_K ? 16 : 32;

// Words 2p and 2p + 1 of all rows of a block, ready for the dot products.
struct Codes { VB even, odd; };

template <int format> inline Codes codesOf(const uint8_t* block, int p) {
  if constexpr (format == Q8_0) return {loadBytes(block + 2 * p * kVector), loadBytes(block + (2 * p + 1) * kVector)};
  const VB both = loadBytes(block + planeAt(format, p));
  const Codes codes = {lowNibbles(both), highNibbles(both)};
  if constexpr (format == Q5_K) {
    const uint8_t* fifth = block + kQ5kFifth + p * 16;
    return {withBit<4>(codes.even, fifth), withBit<4>(codes.odd, fifth + 8)};
  }
  if constexpr (format == Q6_K) {
    const VB upper = loadBytes(block + (p >> 1) * kQ6kSection + kQ6kUpper);
    if (p & 1) return {withUpper<4>(codes.even, upper), withUpper<6>(codes.odd, upper)};
    return {withUpper<0>(codes.even, upper), withUpper<2>(codes.odd, upper)};
  }
  return codes;
}

// Of one group: each row's scale and, where the format has one, its minimum.
struct Scales { VF scale, min; };

template <int format> inline Scales scalesOf(const uint8_t* block, int group) {
  if constexpr (format == Q4_0 || format == Q8_0) {
    return {halfsAt(block + (format == Q4_0 ? kQ4Scales : kQ8Scales) + group * kGroupScales), zero()};
  } else if constexpr (format == Q6_K || format == Q4_S) {
    constexpr int scales = format == Q6_K ? kQ6kScales : kQ4sScales, d = format == Q6_K ? kQ6kD : kQ4sD;
    return {mul(toFloat(loadSigned(block + scales + group * kPanelRows)), halfsAt(block + d)), zero()};
  } else {
    const uint8_t* s = block + (format == Q5_K ? kQ5kShift : 0);
    const VI small = loadUnsigned(s + kQ4kSmall + group * kPanelRows), large = loadInt(reinterpret_cast<const int32_t*>(s + kQ4kLarge));
    const VI scale = withUpperBits(andInt(small, 15), shiftRight(large, 2 * group));
    const VI min = withUpperBits(shiftRight(small, 4), shiftRight(large, 16 + 2 * group));
    return {mul(toFloat(scale), halfsAt(s + kQ4kD)), mul(toFloat(min), halfsAt(s + kQ4kDmin))};
  }
}

}  // namespace
