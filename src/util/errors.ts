// Two kinds of failure. A bug throws through `assert`; everything a user or a file or a machine can cause
// throws `UserError`, whose message says what, got, wanted and the next step.

export type ErrorCode =
  | "bad-argument"
  | "bad-file"
  | "bad-request"
  | "cancelled"
  | "context-exceeded"
  | "disk-full"
  | "model-too-large"
  | "network"
  | "not-found"
  | "out-of-memory"
  | "permission"
  | "unsupported"

/** An error that the caller, a file or the machine caused: shown as one line, never as a stack. */
export class UserError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = "UserError"
    this.code = code
  }
}

/** States what must be true if our own code is right; failing it is a bug, not bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`bug: ${message}`)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system's error name (`ENOENT`, `ENOSPC`, ...) of what was thrown, if it has one. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  return typeof code === "string" ? code : undefined
}
