import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { DownloadMeter, type DownloadProgress } from "./pull-meter.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] })
})

afterEach(() => {
  vi.useRealTimers()
})

const files = [
  { name: "a", bytes: 1000 },
  { name: "b", bytes: 3000 },
]

function meter() {
  const seen: DownloadProgress[] = []
  return { seen, meter: new DownloadMeter(files, (progress) => seen.push(progress)) }
}

/** Bytes that are there after each second. */
function receive(onBytes: (bytes: number) => void, ...bytes: number[]): void {
  for (const there of bytes) {
    onBytes(there)
    vi.advanceTimersByTime(1000)
  }
}

test("a file that starts over does not take progress back", () => {
  const { seen, meter: download } = meter()
  receive(download.begin("a"), 0, 600, 0, 300, 900, 1000)
  expect(seen.map(({ bytesDone }) => bytesDone)).toEqual([0, 600, 600, 600, 900, 1000])
})

test("rate and time left count this run's bytes alone", () => {
  const { seen, meter: download } = meter()
  receive(download.begin("a"), 400, 1000)
  download.end("a", 1000)
  expect(seen.at(-1)).toEqual({
    phase: "download",
    file: "a",
    filesDone: 1,
    filesTotal: 2,
    bytesDone: 1000,
    bytesTotal: 4000,
    bytesPerSecond: 300,
    secondsLeft: 10,
  })
  receive(download.begin("b"), 2000, 3000)
  download.end("b", 3000)
  expect(seen.at(-1)).toMatchObject({ filesDone: 2, bytesDone: 4000, bytesPerSecond: 400, secondsLeft: 0 })
})

test("a thousand chunks in a moment are one report", () => {
  const { seen, meter: download } = meter()
  const onBytes = download.begin("a")
  for (let bytes = 1; bytes <= 1000; bytes++) onBytes(bytes)
  expect(seen).toHaveLength(1)
})
