// Code in, coloured pieces out. A chunk of its own, loaded when the first block of code is seen.

import { common, createLowlight } from "lowlight"

const lowlight = createLowlight(common)

export type Tree = ReturnType<typeof lowlight.highlight>["children"]

/** Colouring a text of this length takes longer than a frame. */
const mostCharacters = 50_000

/** Nothing where the language is not known. */
export function highlight(code: string, language: string): Tree | undefined {
  if (code.length > mostCharacters || !lowlight.registered(language)) return undefined
  return lowlight.highlight(language, code).children
}
