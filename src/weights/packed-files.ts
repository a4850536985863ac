// The checkpoint's own files inside a packed file: names at once, bytes when asked for. Knows byte ranges; never
// what the files mean.

import { withFile } from "./file.ts"

export interface FileRange {
  offset: number
  bytes: number
}

/** Reads a file each time it is asked for; nothing is kept. */
export class PackedFiles implements ReadonlyMap<string, Uint8Array> {
  readonly #path: string
  readonly #ranges: ReadonlyMap<string, FileRange>

  constructor(path: string, ranges: ReadonlyMap<string, FileRange>) {
    this.#path = path
    this.#ranges = ranges
  }

  get size(): number {
    return this.#ranges.size
  }

  has(name: string): boolean {
    return this.#ranges.has(name)
  }

  get(name: string): Uint8Array | undefined {
    const range = this.#ranges.get(name)
    return range && withFile(this.#path, (source) => source.read(range.offset, range.bytes))
  }

  keys(): MapIterator<string> {
    return this.#ranges.keys()
  }

  *entries(): MapIterator<[string, Uint8Array]> {
    for (const name of this.#ranges.keys()) yield [name, this.get(name) ?? new Uint8Array()]
  }

  *values(): MapIterator<Uint8Array> {
    for (const [, bytes] of this.entries()) yield bytes
  }

  [Symbol.iterator](): MapIterator<[string, Uint8Array]> {
    return this.entries()
  }

  forEach(use: (bytes: Uint8Array, name: string, files: ReadonlyMap<string, Uint8Array>) => void): void {
    for (const [name, bytes] of this.entries()) use(bytes, name, this)
  }
}
