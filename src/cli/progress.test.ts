import { expect, onTestFinished, test, vi } from "vitest"
import type { PullProgress } from "../weights/pull.ts"
import { ProgressLine, progressText } from "./progress.ts"

type Pack = Extract<PullProgress, { phase: "pack" }>
type Download = Extract<PullProgress, { phase: "download" }>

const GB = 1e9

function pack(bytesDone: number, shardsDone: number): Pack {
  const tensors = { tensorsDone: 0, tensorsTotal: 531 }
  const amount = { bytesDone, bytesTotal: 60 * GB, bytesPerSecond: 400e6, secondsLeft: 83 }
  return { phase: "pack", ...tensors, shardsDone, shardsTotal: 16, ...amount }
}

function download(bytesDone: number): Download {
  const files = { file: "model-00007-of-00016.safetensors", filesDone: 6, filesTotal: 16 }
  return {
    phase: "download",
    ...files,
    bytesDone,
    bytesTotal: 60 * GB,
    bytesPerSecond: 80e6,
    secondsLeft: 412,
  }
}

class Screen {
  text = ""
  readonly isTTY: boolean
  readonly columns: number
  constructor(kind: "terminal" | "pipe", columns = 80) {
    this.isTTY = kind === "terminal"
    this.columns = columns
  }
  write(text: string): void {
    this.text += text
  }
}

function clock(): (ms: number) => void {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  return (ms) => void vi.advanceTimersByTime(ms)
}

test("packing counts shards, bytes, rate and time left", () => {
  expect(progressText({ pack: pack(26.4 * GB, 7) })).toBe(
    "Loading checkpoint shards: 44% 7/16  26.4 GB of 60.0 GB  400 MB/s  1 min 23 s left",
  )
})

test("what is done has no time left", () => {
  expect(progressText({ pack: pack(60 * GB, 16) })).toBe(
    "Loading checkpoint shards: 100% 16/16  60.0 GB of 60.0 GB  400 MB/s",
  )
})

test("a pull shows its download until that is over, and how much of it is packed", () => {
  const both = { download: download(30 * GB), pack: pack(15 * GB, 4) }
  expect(progressText(both)).toBe(
    "Downloading checkpoint shards: 50% 6/16  30.0 GB of 60.0 GB  80.0 MB/s  6 min 52 s left, 25% packed",
  )
  expect(progressText({ ...both, download: download(60 * GB) })).toMatch(/^Loading checkpoint shards: 25%/)
})

test("on a terminal one line is written over and ends in a line of its own", () => {
  const advance = clock()
  const screen = new Screen("terminal", 40)
  const line = new ProgressLine(screen)
  line.update(pack(0, 0))
  line.update(pack(1 * GB, 0)) // too soon after the first to be shown
  advance(150)
  line.update(pack(30 * GB, 8))
  line.update(pack(60 * GB, 16))
  line.end()
  expect(screen.text.split("\r").slice(1)).toEqual([
    "Loading checkpoint shards: 0% 0/16  0 B\x1b[K",
    "Loading checkpoint shards: 50% 8/16  30\x1b[K",
    "Loading checkpoint shards: 100% 16/16  \x1b[K\n",
  ])
})

test("elsewhere a line is written every five seconds, and the last", () => {
  const advance = clock()
  const screen = new Screen("pipe")
  const line = new ProgressLine(screen)
  for (let second = 0; second <= 12; second++) {
    line.update(pack(second * GB, 0))
    advance(1000)
  }
  line.end()
  const percents = [...screen.text.matchAll(/^Loading checkpoint shards: (\d+)%.*\n/gm)].map(
    ([, percent]) => percent,
  )
  expect(percents).toEqual(["8", "16", "20"])
})

test("what has nothing to say writes nothing", () => {
  const screen = new Screen("terminal")
  new ProgressLine(screen).end()
  expect(screen.text).toBe("")
})

test("a pull says first what it will fetch and how large it is", () => {
  const screen = new Screen("pipe")
  const line = new ProgressLine(screen)
  line.update({
    phase: "plan",
    files: [
      { path: "a", bytes: 4 * GB },
      { path: "b", bytes: 4 * GB },
    ],
    downloadBytes: 8 * GB,
    packedBytes: 2.3 * GB,
    neededBytes: 6.5 * GB,
    freeBytes: 40 * GB,
  })
  expect(screen.text).toBe("fetching 8.0 GB in 2 files; packed it has 2.3 GB; needs 6.5 GB of 40.0 GB free\n")
})
