import fc from "fast-check"
import { expect, test } from "vitest"
import { eventData } from "./sse.ts"

async function read(pieces: Uint8Array<ArrayBuffer>[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })
  const all: string[] = []
  for await (const one of eventData(body)) all.push(one)
  return all
}

const stream =
  ": keep alive\n\ndata: eins\n\ndata:zwei\r\nid: 7\r\n\r\ndata: 三\ndata: 🙂\n\ndata: [DONE]\n\ndata: cut"
const events = ["eins", "zwei", "三\n🙂", "[DONE]"]

test("events are read whatever their line ends, with comments and other fields passed over", async () => {
  expect(await read([new TextEncoder().encode(stream)])).toEqual(events)
})

test("it does not matter where the network cuts, be it within a character", async () => {
  const bytes = new TextEncoder().encode(stream)
  const cuts = fc.array(fc.nat(bytes.length), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(cuts, async (places) => {
      const ends = [...places.sort((a, b) => a - b), bytes.length]
      const pieces = ends.map((end, i) => bytes.slice(i === 0 ? 0 : ends[i - 1], end))
      expect(await read(pieces)).toEqual(events)
    }),
  )
})
