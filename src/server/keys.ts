// Before the path. The file of API keys: of each key its SHA-256, a name and its limits, never the key. Keys are long
// and random, so a plain hash keeps them.

import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { z } from "zod"
import { UserError, messageOf } from "../util/errors.ts"
import { fileError } from "../weights/file.ts"
import { hashKey } from "./access.ts"
import type { Accounts } from "./access.ts"
import { Account } from "./account.ts"
import type { AccountLimits } from "./account.ts"

const perMinute = z.number().int().min(1).optional()
const entry = z.strictObject({
  name: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "wanted 64 hexadecimal digits"),
  requestsPerMinute: perMinute,
  tokensPerMinute: perMinute,
  priority: z.number().int().optional(),
})
const keyFile = z.strictObject({ keys: z.array(entry) })

type KeyFile = z.infer<typeof keyFile>

/** Refuses a file without keys: it would keep everybody out. */
export function readAccounts(path: string): Accounts {
  const { keys } = read(path)
  if (keys.length === 0)
    throw new UserError("bad-file", `${path} has no keys: make one with a3b key <name> --file ${path}`)
  return new Map(keys.map((key) => [key.sha256, new Account(key)]))
}

/** Adds a new key to the file, which is made where there is none, and returns the key: it is kept nowhere. */
export function addKey(path: string, limits: AccountLimits): string {
  const { keys } = readOrBegin(path)
  if (keys.some(({ name }) => name === limits.name))
    throw new UserError("bad-argument", `${path} has a key named ${limits.name} already: take another name`)
  const key = `a3b-${randomBytes(32).toString("base64url")}`
  const all: KeyFile = { keys: [...keys, { ...limits, sha256: hashKey(key) }] }
  try {
    writeFileSync(path, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 })
  } catch (error) {
    throw fileError(path, error)
  }
  return key
}

function readOrBegin(path: string): KeyFile {
  try {
    return read(path)
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") return { keys: [] }
    throw error
  }
}

function read(path: string): KeyFile {
  const { success, data, error } = keyFile.safeParse(parse(path))
  if (success) return data
  const { path: at, message } = error.issues[0]
  throw new UserError("bad-file", `${path} is no file of API keys: ${at.join(".")}: ${message}`)
}

function parse(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch (error) {
    throw fileError(path, error)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UserError("bad-file", `${path} is no JSON: ${messageOf(error)}`)
  }
}
