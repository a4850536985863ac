// Step 5, reference backend. The rotation that keys, queries and values go through before they become codes: it spreads
// an outlier over all channels and keeps every dot product. Knows one head's row; never positions or pages.

/** In place: the orthonormal Hadamard transform of a row whose length is a power of two, in float32; its own inverse. */
export function rotate(x: Float32Array): Float32Array {
  for (let half = 1; half < x.length; half *= 2)
    for (let start = 0; start < x.length; start += 2 * half)
      for (let i = start; i < start + half; i++) {
        const [a, b] = [x[i], x[i + half]]
        x[i] = a + b
        x[i + half] = a - b
      }
  const scale = Math.fround(1 / Math.sqrt(x.length))
  for (let i = 0; i < x.length; i++) x[i] *= scale
  return x
}
