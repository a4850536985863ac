import { expect, test } from "vitest"
import { Pages, pagesFor } from "./pages.ts"

test("a page is given once until it is let go, and the page freed last is given first", () => {
  const pages = new Pages(3)
  expect([pages.allocate(), pages.allocate(), pages.allocate()]).toEqual([0, 1, 2])
  expect(pages.numFree).toBe(0)
  expect(() => pages.allocate()).toThrow("none is free")
  pages.release(1)
  expect(pages.allocate()).toBe(1)
})

test("a page that several hold is freed by the last of them", () => {
  const pages = new Pages(2)
  const page = pages.allocate()
  pages.retain(page)
  expect(pages.holdersOf(page)).toBe(2)
  pages.release(page)
  expect(pages.numFree).toBe(1)
  pages.release(page)
  expect(pages.numFree).toBe(2)
  expect(() => pages.retain(page)).toThrow("page 0 is to be held, but it is free")
})

test("letting go twice and leaking are found", () => {
  const pages = new Pages(4)
  const page = pages.allocate()
  pages.checkIntegrity([Int32Array.of(page)])
  expect(() => pages.checkIntegrity([])).toThrow("page 0 is in 0 tables and has 1 holders")
  expect(() => pages.checkIntegrity([Int32Array.of(page), Int32Array.of(page)])).toThrow(
    "page 0 is in 2 tables",
  )
  expect(() => pages.checkIntegrity([Int32Array.of(page, 3)])).toThrow(
    "page 3 is in 1 tables and has 0 holders",
  )
  pages.release(page)
  expect(() => pages.release(page)).toThrow("page 0 is let go, but it is free")
})

test("pages are counted up to the last token", () => {
  expect([0, 1, 128, 129, 262_144].map(pagesFor)).toEqual([0, 1, 1, 2, 2048])
})
