// What a test of bad input expects: one UserError with a next step, never a crash.

import { UserError, type ErrorCode } from "../src/util/errors.ts"

/** The error of `use`, which must be a UserError whose last part is a next step; anything else fails the test. */
export async function refusal(use: () => unknown): Promise<{ code: ErrorCode; message: string }> {
  try {
    await use()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    if (!/: (?:[^:]|:\S)+$/.test(error.message)) throw new Error(`no next step in: ${error.message}`)
    return { code: error.code, message: error.message }
  }
  throw new Error("it was accepted")
}

/** Runs `use` without the rights of the superuser, which may read everything. */
export async function unprivileged<T>(use: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return use()
  process.seteuid?.(65534)
  try {
    return await use()
  } finally {
    process.seteuid?.(0)
  }
}
