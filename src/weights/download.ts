// A remote file in, the same file on the disk out, under its name only when length and checksum are right. Cut and
// silent connections are taken up again where they ended. Knows URLs and ranges; never what a file is for.

import { statSync } from "node:fs"
import { UserError } from "../util/errors.ts"
import { counted } from "./file.ts"
import { httpLimits, openUrl, persist, StallWatch, type HttpLimits } from "./http.ts"
import { PartFile, type Checksum } from "./part.ts"

export interface RemoteFile {
  url: string
  /** Sent with each request, e.g. a token. */
  headers: Record<string, string>
  bytes: number
  checksum: Checksum
}

export interface DownloadOptions {
  limits?: HttpLimits
  signal?: AbortSignal
  /** Bytes of the file that are there; less than before when the server made us start over. */
  onBytes?: (bytes: number) => void
}

/** Downloads `file` to the path `target`, unless it is there already. */
export async function downloadFile(
  file: RemoteFile,
  target: string,
  options: DownloadOptions = {},
): Promise<void> {
  if (statSync(target, { throwIfNoEntry: false })?.size === file.bytes) return options.onBytes?.(file.bytes)
  const part = await PartFile.open(target, file)
  const digest = await receiveWhole(file, part, options).catch(async (error: unknown) => {
    await part.leave()
    throw error
  })
  if (digest === file.checksum.hex) return part.finish()
  await part.discard()
  throw lie(file, `${file.checksum.algorithm} ${digest}`, file.checksum.hex)
}

/** All bytes of the file; returns their checksum. */
async function receiveWhole(file: RemoteFile, part: PartFile, options: DownloadOptions): Promise<string> {
  const resumed = part.at > 0
  await receive(file, part, options)
  const digest = part.digest()
  if (digest === file.checksum.hex || !resumed) return digest
  // The fault may be in what an earlier run left.
  await part.restart()
  await receive(file, part, options)
  return part.digest()
}

async function receive(file: RemoteFile, part: PartFile, options: DownloadOptions): Promise<void> {
  const { limits = httpLimits, signal, onBytes } = options
  let most = part.at
  const hear = () => {
    most = Math.max(most, part.at)
    onBytes?.(part.at)
  }
  hear()
  await persist(() => receiveRest(file, part, limits, hear, signal), {
    what: `downloading ${file.url}`,
    limits,
    signal,
    progress: () => most,
  })
}

/** One connection's worth. */
async function receiveRest(
  file: RemoteFile,
  part: PartFile,
  { stallMs }: HttpLimits,
  hear: () => void,
  signal?: AbortSignal,
): Promise<void> {
  if (part.at === file.bytes) return
  const watch = new StallWatch(stallMs, signal)
  try {
    const range: Record<string, string> = part.at > 0 ? { range: `bytes=${part.at}-` } : {}
    const headers = { ...file.headers, ...range, "accept-encoding": "identity" }
    const response = await openUrl(file.url, headers, watch.signal)
    await checkStart(file, part, response)
    for await (const chunk of response.body ?? []) {
      watch.heard()
      if (part.at + chunk.length > file.bytes) throw lie(file, "more bytes", counted(file.bytes))
      await part.append(chunk)
      // Writing may have taken long; that is no silence of the server's.
      watch.heard()
      hear()
    }
    if (part.at < file.bytes) throw new Error(`the connection ended at byte ${counted(part.at)}`)
  } finally {
    watch.close()
  }
}

/** Puts the part file where the response begins, or refuses what the response says about itself. */
async function checkStart(file: RemoteFile, part: PartFile, response: Response): Promise<void> {
  if (response.status === 416) {
    await response.body?.cancel()
    await part.restart()
    throw new Error("the server refused to go on where the last connection ended")
  }
  if (response.status === 206) {
    const range = response.headers.get("content-range") ?? "no content-range"
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? []
    if (Number(start) === part.at && (total === "*" || Number(total) === file.bytes)) return
    await response.body?.cancel()
    throw lie(file, range, `bytes ${part.at}-${file.bytes - 1}/${file.bytes}`)
  }
  if (part.at > 0) await part.restart()
  const length = response.headers.get("content-length")
  if (length === null || response.headers.has("content-encoding") || Number(length) === file.bytes) return
  await response.body?.cancel()
  throw lie(file, `${counted(Number(length))} bytes`, counted(file.bytes))
}

/** The first `bytes` bytes of a file, or all of it where it is shorter; nothing is kept on the disk. */
export async function downloadStart(
  file: RemoteFile,
  bytes: number,
  options: DownloadOptions,
): Promise<Uint8Array> {
  const { limits = httpLimits, signal } = options
  const wanted = Math.min(bytes, file.bytes)
  if (wanted === 0) return new Uint8Array(0)
  return persist(() => receiveStart(file, wanted, limits, signal), {
    what: `reading the start of ${file.url}`,
    limits,
    signal,
  })
}

async function receiveStart(file: RemoteFile, bytes: number, limits: HttpLimits, signal?: AbortSignal) {
  const watch = new StallWatch(limits.stallMs, signal)
  const out = new Uint8Array(bytes)
  let at = 0
  try {
    const headers = { ...file.headers, range: `bytes=0-${bytes - 1}`, "accept-encoding": "identity" }
    const response = await openUrl(file.url, headers, watch.signal)
    if (response.status === 416) throw lie(file, "no such range", `at least ${counted(bytes)} bytes`)
    for await (const chunk of response.body ?? []) {
      watch.heard()
      const fits = chunk.subarray(0, bytes - at)
      out.set(fits, at)
      at += fits.length
      if (at === bytes) return out
    }
    throw new Error(`the connection ended at byte ${counted(at)}`)
  } finally {
    watch.close()
  }
}

function lie(file: RemoteFile, got: string, wanted: string): UserError {
  return new UserError(
    "network",
    `${file.url} sent ${got}; wanted ${wanted}, as the hub lists it: try again later or use the other hub`,
  )
}
