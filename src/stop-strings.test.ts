import fc from "fast-check"
import { expect, test } from "vitest"
import { StopStrings } from "./stop-strings.ts"

/** The pieces go in one after the other; `|` marks where one ends in what comes out. */
function shown(stops: string[], ...pieces: string[]): string {
  const watch = new StopStrings(stops)
  const out: string[] = []
  for (const piece of pieces) {
    out.push(watch.push(piece))
    if (watch.found !== undefined) return `${out.join("|")} STOP ${watch.found}`
  }
  return [...out, watch.flush()].join("|")
}

test("text ends before the stop string", () => {
  expect(shown(["END"], "one END two")).toBe("one  STOP END")
})

test("a stop string is found across pieces, and none of it is shown", () => {
  expect(shown(["END"], "one E", "N", "D two")).toBe("one || STOP END")
})

test("text that only began like one is shown as soon as that is known", () => {
  expect(shown(["END"], "one E", "Nx", " two")).toBe("one |ENx| two|")
  expect(shown(["END"], "one EN")).toBe("one |EN")
})

test("the one that is complete first ends the text", () => {
  expect(shown(["two", "one"], "zero one two")).toBe("zero  STOP one")
  expect(shown(["abc", "b"], "abc")).toBe("a STOP b")
  expect(shown(["b", "ab"], "ab")).toBe(" STOP ab")
})

test("a repeated beginning is not lost", () => {
  expect(shown(["aab"], "aa", "ab")).toBe("|a STOP aab")
})

test("no stop strings, and empty ones, hold nothing back", () => {
  expect(shown([], "a", "b")).toBe("a|b|")
  expect(shown([""], "a", "b")).toBe("a|b|")
})

test("however the text is split, what is shown is the same", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 })
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  })
  const property = fc.property(text, stops, fc.array(fc.nat(30), { maxLength: 8 }), (text, stops, cuts) => {
    const ends = [...cuts.map((cut) => Math.min(cut, text.length)), text.length].sort((a, b) => a - b)
    const watch = new StopStrings(stops)
    let shown = ""
    let begin = 0
    for (const end of ends) {
      if (watch.found === undefined) shown += watch.push(text.slice(begin, end))
      begin = end
    }
    shown += watch.flush()
    const ended = Array.from(text, (_, i) => text.slice(0, i + 1)).find((head) =>
      stops.some((stop) => head.endsWith(stop)),
    )
    const longest = Math.max(0, ...stops.filter((stop) => ended?.endsWith(stop)).map((stop) => stop.length))
    expect(shown).toBe(ended === undefined ? text : ended.slice(0, ended.length - longest))
    expect(watch.found !== undefined).toBe(ended !== undefined)
  })
  fc.assert(property, { numRuns: 1000 })
})
