import { expect, test } from "vitest"
import { parseSlash, slashHelp } from "./slash-commands.ts"

test("a command is a word behind a slash, and what follows it", () => {
  expect(parseSlash("/reset")).toEqual({ name: "reset", argument: "" })
  expect(parseSlash(" /save my talk.json ")).toEqual({ name: "save", argument: "my talk.json" })
  expect(parseSlash("/no_think")).toEqual({ name: "no_think", argument: "" })
})

test.each(["/etc/hosts is a file", "what is /etc?", "/", "/reset\nand more", "//x"])(
  "%j is a message",
  (text) => {
    expect(parseSlash(text)).toBeUndefined()
  },
)

test("the list names every command with what it takes", () => {
  const run = () => undefined
  const help = slashHelp({
    save: { takes: "<path>", meaning: "keep it", run },
    exit: { meaning: "leave", run },
  })
  expect(help.split("\n").slice(0, 2)).toEqual(["/save <path>  keep it", "/exit         leave"])
})
