import { expect, test } from "vitest"
import { texts } from "../texts.ts"
import { readFiles } from "./read-files.ts"

test("texts are read, and what is none is refused by name", async () => {
  const files = [
    new File(["你好\n"], "a.txt"),
    new File([Uint8Array.of(0x89, 0x50, 0xff)], "b.png"),
    new File(["a\0b"], "c.bin"),
    new File([new Uint8Array(4 * 2 ** 20 + 1)], "d.log"),
  ]
  expect(await readFiles(files, texts.en)).toEqual({
    read: [{ name: "a.txt", text: "你好\n" }],
    refused: ["b.png is no text file", "c.bin is no text file", "d.log has more than 4 MiB"],
  })
})
