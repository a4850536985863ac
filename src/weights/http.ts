// GET requests that outlive a bad network: silence is cut off, what the network did is tried again with growing
// pauses, what the server means is an error at once. Knows HTTP; never files or hubs.

import { setTimeout as pause } from "node:timers/promises"
import { messageOf, UserError } from "../util/errors.ts"
import { counted } from "./file.ts"

export interface HttpLimits {
  /** Longest silence of a server before its connection is given up. */
  stallMs: number
  /** Failures in a row, without progress in between, before giving up. */
  attempts: number
  /** Pause after the first failure; each further one is twice as long, up to 30 s. */
  waitMs: number
}

export const httpLimits: HttpLimits = { stallMs: 30_000, attempts: 8, waitMs: 500 }

const maxWaitMs = 30_000
/** A connection that brought this much was worth having, and failures are counted anew. */
const progressBytes = 1 << 20

/** Aborts when nothing is heard for a while, or with `outer`. */
export class StallWatch {
  readonly signal: AbortSignal
  readonly #timer: NodeJS.Timeout

  constructor(stallMs: number, outer?: AbortSignal) {
    const stalled = new AbortController()
    this.signal = outer ? AbortSignal.any([stalled.signal, outer]) : stalled.signal
    const silence = new Error(`nothing came for ${stallMs / 1000} s`)
    this.#timer = setTimeout(() => stalled.abort(silence), stallMs)
  }

  heard(): void {
    this.#timer.refresh()
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}

/** A response of status 200, 206 or 416; others are an error, of the network where another try may help. */
export async function openUrl(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const response = await fetch(url, { headers, signal })
  const { status } = response
  if (status === 200 || status === 206 || status === 416) return response
  await response.body?.cancel()
  if (status === 401 || status === 403)
    throw new UserError(
      "permission",
      `no access to ${url} (HTTP ${status}): check the model's id; if it asks for it, accept its terms on its page ` +
        "and set HF_TOKEN to your token",
    )
  if (status === 404)
    throw new UserError("not-found", `${url} does not exist: check the model's id and revision`)
  if (status === 408 || status === 429 || status >= 500) throw new Error(`HTTP ${status}`)
  throw new UserError("network", `${url} answered with HTTP ${status}: try again later or use the other hub`)
}

/** A whole body of at most `maxBytes`. */
export async function readBody(response: Response, maxBytes: number, watch: StallWatch): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    watch.heard()
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > maxBytes)
      throw new UserError(
        "network",
        `${response.url} sends more than ${counted(maxBytes)} bytes: use the other hub`,
      )
  }
  return Buffer.concat(chunks)
}

export interface Persistence {
  /** For the error. */
  what: string
  limits: HttpLimits
  signal?: AbortSignal
  /** Bytes received so far. */
  progress?: () => number
}

/** Repeats `attempt` until it succeeds or fails for good: with a UserError, by `signal`, or too often. */
export async function persist<T>(
  attempt: () => Promise<T>,
  { what, limits, signal, progress = () => 0 }: Persistence,
): Promise<T> {
  let failures = 0
  let before = progress()
  for (;;) {
    try {
      if (signal?.aborted) throw cancelled()
      return await attempt()
    } catch (error) {
      if (signal?.aborted) throw cancelled()
      if (error instanceof UserError) throw error
      failures = progress() - before >= progressBytes ? 1 : failures + 1
      before = progress()
      if (failures >= limits.attempts) throw gaveUp(what, failures, error)
      await pause(Math.min(limits.waitMs * 2 ** (failures - 1), maxWaitMs), undefined, { signal }).catch(
        () => {},
      )
    }
  }
}

function gaveUp(what: string, failures: number, error: unknown): UserError {
  return new UserError(
    "network",
    `${what} failed ${counted(failures)} times in a row, the last time because of: ${reasonOf(error)}; ` +
      `check the network and run the command again: it goes on where it stopped`,
    { cause: error },
  )
}

/** fetch says only "fetch failed" and keeps the reason as the cause; for two addresses of one host there are two. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return messageOf(cause instanceof AggregateError ? cause.errors[0] : cause)
}

function cancelled(): UserError {
  return new UserError(
    "cancelled",
    "the download was cancelled: run the command again, it goes on where it stopped",
  )
}
