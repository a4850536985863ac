// Step 1. What one API key may still do: requests and tokens of the last minute, as buckets that fill steadily.

import { ApiError } from "./api-error.ts"

export interface AccountLimits {
  name: string
  requestsPerMinute?: number
  tokensPerMinute?: number
  /** The lowest, which goes first, that its requests can have; 0 where left out. */
  priority?: number
}

const minuteMs = 60_000

export class Account {
  readonly name: string
  readonly #priority: number
  readonly #requests: Bucket
  readonly #tokens: Bucket

  /** `now` in milliseconds. */
  constructor(limits: AccountLimits, now = () => performance.now()) {
    const { name, requestsPerMinute, tokensPerMinute, priority = 0 } = limits
    this.name = name
    this.#priority = priority
    this.#requests = new Bucket("requests", requestsPerMinute ?? Infinity, now)
    this.#tokens = new Bucket("tokens", tokensPerMinute ?? Infinity, now)
  }

  /** Counts a request, or refuses it. */
  admit(): void {
    this.#tokens.check()
    this.#requests.check()
    this.#requests.take(1)
  }

  /** Nobody gets before others by asking for it. */
  priorityOf(asked: number | undefined): number {
    return Math.max(this.#priority, asked ?? this.#priority)
  }

  /** Counts the tokens of a reply, which are known only when it has ended. */
  charge(numTokens: number): void {
    this.#tokens.take(numTokens)
  }
}

class Bucket {
  readonly #what: string
  readonly #perMinute: number
  readonly #now: () => number
  #level: number
  #at: number

  constructor(what: string, perMinute: number, now: () => number) {
    this.#what = what
    this.#perMinute = perMinute
    this.#now = now
    this.#level = perMinute
    this.#at = now()
  }

  check(): void {
    this.#fill()
    // A replies' tokens can take more than there is: then it fills up first.
    const missing = 1 - this.#level
    if (missing <= 0) return
    const seconds = Math.ceil((missing * minuteMs) / this.#perMinute / 1000)
    const limit = this.#perMinute.toLocaleString("en-US")
    const message = `the key's limit of ${limit} ${this.#what} a minute is used up: try again in ${seconds} s`
    const headers = { "retry-after": String(seconds) }
    throw new ApiError(429, message, { code: "rate_limit_exceeded", headers })
  }

  take(amount: number): void {
    this.#fill()
    this.#level -= amount
  }

  #fill(): void {
    if (this.#perMinute === Infinity) return
    const now = this.#now()
    this.#level = Math.min(this.#perMinute, this.#level + ((now - this.#at) / minuteMs) * this.#perMinute)
    this.#at = now
  }
}
