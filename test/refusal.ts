// What a test of bad input expects: one UserError with a next step, never a crash.

import { UserError, type ErrorCode } from "../src/util/errors.ts"

/** The error of `use`, which must be a UserError whose last part is a next step; anything else fails the test. */
export async function refusal(use: () => unknown): Promise<{ code: ErrorCode; message: string }> {
  try {
    await use()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    if (!/: [^:]+$/.test(error.message)) throw new Error(`no next step in: ${error.message}`)
    return { code: error.code, message: error.message }
  }
  throw new Error("it was accepted")
}
