// The page's words, by language, and which language a part is drawn in.

import { createContext, use } from "react"
import { en } from "./texts-en.ts"
import type { Texts } from "./texts-en.ts"
import { zh } from "./texts-zh.ts"

export type { Texts } from "./texts-en.ts"

export const texts = { en, zh }

const TextsContext = createContext(en)

export const TextsProvider = TextsContext.Provider

export function useTexts(): Texts {
  return use(TextsContext)
}
