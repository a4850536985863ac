// How far a pull's downloads are: bytes of files in, progress for people out. Knows counts and times; never URLs.

export interface DownloadProgress {
  phase: "download"
  /** The file that is coming in. */
  file: string
  filesDone: number
  filesTotal: number
  /** Never less than before, even where a server made a file start over. */
  bytesDone: number
  bytesTotal: number
  /** In this run. */
  bytesPerSecond: number
  secondsLeft: number
}

/** Least time between two reports. */
const reportMs = 100

export class DownloadMeter {
  readonly #filesTotal: number
  readonly #bytesTotal: number
  readonly #report: (progress: DownloadProgress) => void
  readonly #startMs = performance.now()
  #filesDone = 0
  /** Of whole files. */
  #bytesBefore = 0
  #bytesMost = 0
  /** What earlier runs left counts as done, not as speed. */
  #bytesResumed = 0
  #lastMs = -Infinity

  constructor(files: readonly { bytes: number }[], report: (progress: DownloadProgress) => void) {
    this.#filesTotal = files.length
    this.#bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#report = report
  }

  /** Returns what takes the bytes of one file that are there; the first call tells what was there before. */
  begin(file: string): (bytes: number) => void {
    let isFirst = true
    return (bytes) => {
      if (isFirst) this.#bytesResumed += bytes
      isFirst = false
      this.#bytesMost = Math.max(this.#bytesMost, this.#bytesBefore + bytes)
      if (performance.now() - this.#lastMs >= reportMs) this.#tell(file)
    }
  }

  end(file: string, bytes: number): void {
    this.#filesDone++
    this.#bytesBefore += bytes
    this.#bytesMost = this.#bytesBefore
    this.#tell(file)
  }

  #tell(file: string): void {
    this.#lastMs = performance.now()
    const seconds = (this.#lastMs - this.#startMs) / 1000
    const bytesPerSecond = Math.max(0, this.#bytesMost - this.#bytesResumed) / Math.max(seconds, 1e-3)
    const bytesLeft = this.#bytesTotal - this.#bytesMost
    this.#report({
      phase: "download",
      file,
      filesDone: this.#filesDone,
      filesTotal: this.#filesTotal,
      bytesDone: this.#bytesMost,
      bytesTotal: this.#bytesTotal,
      bytesPerSecond,
      secondsLeft: bytesLeft === 0 ? 0 : bytesLeft / Math.max(bytesPerSecond, 1),
    })
  }
}
