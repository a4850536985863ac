// What was thrown in, the line for the terminal and the exit code out.

import { CommanderError } from "commander"
import { UserError, messageOf } from "../util/errors.ts"
import { isDebugging } from "./environment.ts"

export interface Failure {
  /** Absent where there is nothing to say. */
  line?: string
  exitCode: number
}

const usageExit = 2
export const interruptExit = 130

export function describeFailure(error: unknown): Failure {
  if (isCancelled(error)) return { exitCode: interruptExit }
  if (error instanceof CommanderError) return { line: usageLine(error), exitCode: usageExit }
  if (isDebugging() && error instanceof Error) return { line: stackOf(error), exitCode: 1 }
  if (error instanceof UserError) return { line: `error: ${error.message}`, exitCode: 1 }
  const hint = "this is a bug in a3b; A3B_DEBUG=1 shows where"
  return { line: `error: ${messageOf(error)} (${hint})`, exitCode: 1 }
}

/** Commander puts its suggestion on a second line and ends sentences. */
function usageLine(error: CommanderError): string {
  const line = error.message.replace(/\s*\n\s*/g, " ").replace(/\.$/, "")
  const shown = line.startsWith("error: ") ? line : `error: ${line}`
  return shown.includes("(Did you mean") ? shown : `${shown}: see --help`
}

/** Only Ctrl-C cancels. */
export function isCancelled(error: unknown): boolean {
  if (error instanceof UserError) return error.code === "cancelled"
  return error instanceof Error && error.name === "AbortError"
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by: ${stackOf(error.cause)}` : ""
  return `${error.stack ?? error.message}${cause}`
}
