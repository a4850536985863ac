import { expect, test } from "vitest"
import { shortcutKeys } from "./use-shortcuts.ts"
import { texts } from "./texts.ts"

test("every word that is one in English has its Chinese, and no text is empty", () => {
  const shared = Object.entries(texts.en).filter(
    ([name, text]) => text === texts.zh[name as keyof typeof texts.en],
  )
  // What is written the same in both.
  expect(shared.map(([name]) => name).sort()).toEqual(["min_p", "top_k", "top_p"])
  expect(texts.zh.examples).toHaveLength(texts.en.examples.length)
})

test("no key has two meanings", () => {
  const keys = shortcutKeys.map(([, key]) => key)
  expect(new Set(keys).size).toBe(keys.length)
})
