// Step 1. Who may come in: holders of a key where there are keys, and browsers only from pages that were named. Without
// keys the name that the client called the server by must be a local one, or any page could reach it by rebinding its
// own name to this machine.

import { createHash } from "node:crypto"
import type { Account } from "./account.ts"
import { ApiError } from "./api-error.ts"

/** Accounts by the SHA-256 of their key, in hex. */
export type Accounts = ReadonlyMap<string, Account>

export interface AccessOptions {
  /** Everybody comes in where left out. */
  accounts?: Accounts
  /** Origins of the pages that may ask; `*` is any. */
  origins: readonly string[]
  /** Whether only this machine can reach the server. */
  reach: "local" | "network"
}

/** Refuses whoever may not come in; returns whose limits count. */
export function admit(request: Request, { accounts, origins, reach }: AccessOptions): Account | undefined {
  const origin = request.headers.get("origin")
  const host = request.headers.get("host") ?? new URL(request.url).host
  if (origin !== null && !isOwn(origin, host) && !origins.includes(origin) && !origins.includes("*"))
    throw new ApiError(403, "pages of other sites may not use this server: start it with --cors <origin>")
  if (accounts) return accountOf(request.headers, accounts)
  if (reach === "local" && !isLocal(host))
    throw new ApiError(403, "this server goes by the name localhost: call it so, or start it with API keys")
  return undefined
}

export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex")
}

/** Whether only this machine can reach a server at this address. */
export function isLocal(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")
  return name === "localhost" || name === "::1" || /^127(\.\d+){3}$/.test(name)
}

function isOwn(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`
}

function accountOf(headers: Headers, accounts: Accounts): Account {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1]
  const key = bearer ?? headers.get("x-api-key") ?? undefined
  const account = key === undefined ? undefined : accounts.get(hashKey(key))
  if (account) return account
  const what = key === undefined ? "there is no API key" : "the API key is not known"
  const next = "send one as authorization: Bearer <key> or x-api-key: <key>"
  throw new ApiError(401, `${what}: ${next}`, {
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  })
}
