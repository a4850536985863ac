// Step 5. The norm weights of a layer's queries and keys in, the same two evened out: what queries gain, keys lose, so
// that every product of the two stays. Codes of keys then lose least: their error in a logit is the product of both
// sides' largest channels. Knows one head's weights; never how keys are kept.

/**
 * Factors s [headDim] for queries, whose inverses are for keys: s^4 is the ratio of squared weights of key and query,
 * taken over both channels of a rotary pair, so that the rotation between norm and product changes nothing.
 */
export function balance(query: Float32Array, key: Float32Array): Float32Array {
  const half = query.length / 2
  const squares = (w: Float32Array, i: number) => w[i] ** 2 + w[i + half] ** 2
  const factors = new Float32Array(query.length)
  for (let i = 0; i < half; i++) {
    const factor = (squares(key, i) / squares(query, i)) ** 0.25
    // A pair that one side never uses has no balance.
    factors[i] = factors[i + half] = factor > 0 && factor < Infinity ? factor : 1
  }
  return factors
}
