// How the codes of a page lie in memory, over the sixteen lanes of a vec_*.h, and how they are packed and unpacked;
// src/backend/reference/planes.ts lists the same. What products read of sixteen tokens, a block, are vectors of 64 codes, a word
// of four to a lane: of keys, vector m has channels 4 m to 4 m + 3 and a lane for each token; of values, vector 4 g + q has
// tokens 4 q to 4 q + 3 and a lane for each channel from 16 g on. Planes hold one or two bits of each code, block by block:
// a line has those of eight or of four vectors, lane by lane and byte by byte, so that shifts and masks unpack them.
#pragma once
#include "format.h"
#include "kernels.h"

namespace {

struct TierBits { int key, value; };
constexpr TierBits kTierBits[kTiers] = {{16, 16}, {8, 8}, {5, 4}, {4, 3}};

enum Part { kKeys, kValues };
constexpr int kMostPlanes = 5;
// Bits a plane, from the highest down, and how many planes a tier has.
constexpr int kPlaneBits[2][kMostPlanes] = {{2, 2, 1, 2, 1}, {2, 1, 1, 2, 2}};
constexpr int kTierPlanes[kTiers] = {0, 5, 3, 2};

// A block of a plane.
constexpr int planeBlockBytes(Part part, int plane, int headDim) { return kPlaneBits[part][plane] * 2 * headDim; }
// What every tier has of a page.
constexpr int nestedBytes(int headDim) { return 2 * 2 * headDim + 6 * kPageTokens + 7 * kPageTokens * headDim / 8; }

// Where one part of a page lies: its mean, its steps (of values [2: halves of the channels][kPageTokens]), its planes.
struct PartPlace {
  uint16_t *mean, *scales;
  uint8_t* planes[kMostPlanes];
};

// The parts of a page of one head in its pieces; planes that the tier has not are not to be looked at.
inline PartPlace keyPlace(uint8_t* const* pieces, int headDim) {
  const int bit = kPageTokens * headDim / 8;
  uint8_t* first = pieces[0] + 2 * headDim + 2 * kPageTokens;
  return {reinterpret_cast<uint16_t*>(pieces[0]), reinterpret_cast<uint16_t*>(pieces[0]) + headDim,
          {first, first + 2 * bit, pieces[1], pieces[2], pieces[2] + 2 * bit}};
}
inline PartPlace valuePlace(uint8_t* const* pieces, int headDim) {
  const int bit = kPageTokens * headDim / 8;
  uint8_t* mean = pieces[0] + 2 * headDim + 2 * kPageTokens + 4 * bit;
  uint8_t* first = mean + 2 * headDim + 4 * kPageTokens;
  return {reinterpret_cast<uint16_t*>(mean), reinterpret_cast<uint16_t*>(mean) + headDim,
          {first, first + 2 * bit, pieces[1] + bit, pieces[2] + 3 * bit, pieces[2] + 5 * bit}};
}

inline const int32_t* lineAt(const uint8_t* plane, int line) { return reinterpret_cast<const int32_t*>(plane) + line * 16; }

// ---- packing

// The vector whose bits are the `place`-th of a line of single bits: those that meet in a nibble are four apart, and two more
// vectors' between them.
constexpr int vectorAt(int place) { return (place & 2) * 2 + (place & 4) / 2 + (place & 1); }

// A block of codes of eight bits, as vectors, into the upper planes.
inline void packBlock(Part part, const VI* vectors, int headDim, int planes, int block, uint8_t* const* to) {
  int above = 0;
  for (int i = 0; i < planes; i++) {
    const int bits = kPlaneBits[part][i], each = 8 / bits, low = 8 - above - bits;
    auto* line = reinterpret_cast<int32_t*>(to[i] + block * planeBlockBytes(part, i, headDim));
    for (int first = 0; first < headDim / 4; first += each, line += 16) {
      VI packed = zeroInt();
      for (int place = each - 1; place >= 0; place--) {
        const VI field = shiftRight(vectors[first + (bits == 2 ? place : vectorAt(place))], low);
        packed = bits == 2 ? orInt(upBy<2>(packed), andInt(field, 0x03030303)) : orInt(upBy<1>(packed), andInt(field, 0x01010101));
      }
      storeInt(line, packed);
    }
    above += bits;
  }
}

// The same of codes of sixteen tokens as they come, [16][headDim].
inline void packCodes(Part part, const int32_t* codes, int headDim, int planes, int block, uint8_t* const* to) {
  VI vectors[kMaxHeadDim / 4];
  for (int m = 0; m < headDim / 4; m++) {
    alignas(64) int32_t words[16];
    for (int lane = 0; lane < 16; lane++) {
      const int32_t* first = part == kKeys ? codes + lane * headDim + m * 4 : codes + m % 4 * 4 * headDim + m / 4 * 16 + lane;
      const int apart = part == kKeys ? 1 : headDim;
      words[lane] = first[0] | first[apart] << 8 | first[2 * apart] << 16 | first[3 * apart] << 24;
    }
    vectors[m] = loadInt(words);
  }
  packBlock(part, vectors, headDim, planes, block, to);
}

// ---- unpacking

// Four bits of four vectors' codes, or the upper ones of fewer: of vectors 0 and 2 in the lower and upper nibbles of one, of 1
// and 3 in those of the other.
struct Nibbles { VI even, odd; };

template <int by> inline VI moved(VI v) {
  if constexpr (by > 0) return upBy<by>(v);
  else if constexpr (by < 0) return downBy<-by>(v);
  else return v;
}

// A plane's bits of line `line` of four vectors become bits `place` of the nibbles; what lies above is kept unless there is
// nothing yet.
template <int bits, int place, bool odd, bool first> inline void addPlane(const uint8_t* plane, int line, Nibbles& to) {
  constexpr int mask = static_cast<int>((bits == 2 ? 0x33333333u : 0x11111111u) << place);
  const VI v = loadInt(lineAt(plane, bits == 2 ? line : line / 2));
  constexpr int at = bits == 2 ? 0 : 2 * odd, step = bits;
  const VI even = moved<place - at>(v), odds = moved<place - at - step>(v);
  to = first ? Nibbles{even, odds} : Nibbles{pick<mask>(even, to.even), pick<mask>(odds, to.odd)};
}

// The codes of four vectors: their upper four bits or fewer, and those below.
struct FourCodes { Nibbles upper, lower; };

template <Part part, int bits, bool odd, int plane = 0, int above = 0>
inline void addPlanes(const uint8_t* const* planes, int line, FourCodes& to) {
  if constexpr (above < bits) {
    constexpr int each = kPlaneBits[part][plane], place = 8 - above - each;
    if constexpr (place >= 4) addPlane<each, place - 4, odd, above == 0>(planes[plane], line, to.upper);
    else addPlane<each, place, odd, above == 4>(planes[plane], line, to.lower);
    addPlanes<part, bits, odd, plane + 1, above + each>(planes, line, to);
  }
}

// Codes of vector `vector` of four, from `shift` on in each nibble's place: all bytes of a word, or, with a unit of 0x10001, its
// first and third one, by 8 more its second and fourth.
template <int bits, int vector, int unit, int shift = 0> inline VI codesFrom(const FourCodes& four) {
  auto of = [&]<int width>(const Nibbles& n) __attribute__((always_inline)) {
    constexpr int down = (vector & 2) * 2 + shift + 4 - width;
    return andInt(downBy<down>(vector & 1 ? n.odd : n.even), unit * ((1 << width) - 1));
  };
  if constexpr (bits <= 4) return of.template operator()<bits>(four.upper);
  else return orInt(upBy<bits - 4>(of.template operator()<4>(four.upper)), of.template operator()<bits - 4>(four.lower));
}

// fn.operator()<vector of four>(line, codes) over the vectors of lines [line, line + 2) of a block.
// Inlined, for a call would keep vectors in memory, and its end would clear half of them.
template <Part part, int bits, class Fn> [[gnu::always_inline]] inline void overLines(const uint8_t* const* planes, int line, Fn fn) {
  auto four = [&]<bool odd>() __attribute__((always_inline)) {
    FourCodes codes;
    addPlanes<part, bits, odd>(planes, line + odd, codes);
    fn.template operator()<0>(line + odd, codes);
    fn.template operator()<1>(line + odd, codes);
    fn.template operator()<2>(line + odd, codes);
    fn.template operator()<3>(line + odd, codes);
  };
  four.template operator()<false>();
  four.template operator()<true>();
}

// A block's planes.
template <Part part> struct BlockPlanes {
  const uint8_t* at[kMostPlanes];
  BlockPlanes(const uint8_t* const* planes, int count, int block, int headDim) {
    for (int i = 0; i < count; i++) at[i] = planes[i] + block * planeBlockBytes(part, i, headDim);
  }
};

}  // namespace
