// The exponential over the sixteen lanes of a vec_*.h that the including file has chosen.
#pragma once

namespace {

// e^x to about 1 ulp: 2^n times a polynomial in the rest (Taylor to the 6th order over |r| <= ln 2 / 2).
inline VF exponential(VF x) {
  x = maxOf(x, set1(-87.0f));
  x = minOf(x, set1(87.0f));
  const VI n = toInt(mul(x, set1(1.44269504088896341f)));
  const VF nf = toFloat(n);
  VF r = fnma(nf, set1(0.693359375f), x);  // ln 2 in two parts: the first has few bits, so this is exact
  r = fnma(nf, set1(-2.12194440e-4f), r);
  VF p = set1(1.0f / 720.0f);
  p = fma(p, r, set1(1.0f / 120.0f));
  p = fma(p, r, set1(1.0f / 24.0f));
  p = fma(p, r, set1(1.0f / 6.0f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return mul(p, pow2(n));
}

// e^x of x <= 0 to 4e-5, for products of factors that are rounded more than that (Taylor to the 4th order).
inline VF roughExponential(VF x) {
  x = maxOf(x, set1(-87.0f));
  const VI n = toInt(mul(x, set1(1.44269504088896341f)));
  const VF r = fnma(toFloat(n), set1(0.693147180559945f), x);
  VF p = fma(set1(1.0f / 24.0f), r, set1(1.0f / 6.0f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return mul(p, pow2(n));
}

}  // namespace
