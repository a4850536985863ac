import { PassThrough } from "node:stream"
import { expect, onTestFinished, test } from "vitest"
import { MessageReader } from "./message-reader.ts"
import type { Reading } from "./message-reader.ts"

/** A terminal without a person: what is typed, and what the reader makes of it until the input ends. */
async function readings(typed: string): Promise<(string | "interrupt" | "end")[]> {
  const input = new PassThrough()
  const reader = new MessageReader({ input, output: new PassThrough().resume() })
  onTestFinished(() => reader.close())
  input.end(typed)
  const all: string[] = []
  for (;;) {
    const reading = await reader.read("> ")
    all.push(shown(reading))
    if (reading.kind === "end") return all
  }
}

function shown(reading: Reading): string {
  return reading.kind === "message" ? `message ${reading.text}` : reading.kind
}

test("a line is a message", async () => {
  expect(await readings("hello\rworld\r")).toEqual(["message hello", "message world", "end"])
})

test("a backslash at the end of a line goes on in the next", async () => {
  expect(await readings("one\\\rtwo\\\rthree\r")).toEqual(["message one\ntwo\nthree", "end"])
})

test("three quotes hold several lines", async () => {
  expect(await readings('"""\rone\r\r  two\\\r"""\r')).toEqual(["message one\n\n  two\\", "end"])
  expect(await readings('"""one\rtwo"""\rthree\r')).toEqual(["message one\ntwo", "message three", "end"])
  expect(await readings('"""one"""\r')).toEqual(["message one", "end"])
})

test("what is pasted is one message, and may be added to", async () => {
  expect(await readings("\x1b[200~one\\\rtwo\rthree\x1b[201~ and more\rfour\r")).toEqual([
    "message one\\\ntwo\nthree and more",
    "message four",
    "end",
  ])
})

test("a paste that ends with a line waits for Enter", async () => {
  expect(await readings("\x1b[200~one\rtwo\r\x1b[201~\rfour\r")).toEqual([
    "message one\ntwo\n",
    "message four",
    "end",
  ])
})

test("Ctrl-C takes back what was typed, and is told where there is nothing", async () => {
  expect(await readings("half\x03hello\r\x03")).toEqual(["message hello", "interrupt", "end"])
  expect(await readings("one\\\r\x03hello\r")).toEqual(["message hello", "end"])
})

test("input that ends inside a message still gives it", async () => {
  expect(await readings("one\\\r")).toEqual(["message one", "end"])
})

test("Ctrl-D ends", async () => {
  expect(await readings("hello\r\x04unread\r")).toEqual(["message hello", "end"])
})

test("between messages the terminal is as it was: no raw mode, no marked pastes", async () => {
  const input = Object.assign(new PassThrough(), { setRawMode: (mode: boolean) => log.push(`raw ${mode}`) })
  const output = new PassThrough()
  const log: string[] = []
  output.on("data", (text: Buffer) => {
    if (text.toString().includes("?2004h")) log.push("marks on")
    if (text.toString().includes("?2004l")) log.push("marks off")
  })
  const reader = new MessageReader({ input, output })
  onTestFinished(() => reader.close())
  log.length = 0
  input.write("hello\r")
  await reader.read("> ")
  await new Promise((resolve) => setImmediate(resolve))
  expect(log.sort()).toEqual(["marks off", "marks on", "raw false", "raw true"])
})
