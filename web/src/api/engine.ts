// What the engine says of itself, and what two such reports say together.

import type { EngineReport } from "../../../src/server/engine-report.ts"
import { keyHeader } from "./chat.ts"

export type { EngineReport }

export async function fetchReport(apiKey: string, signal: AbortSignal): Promise<EngineReport> {
  const response = await fetch("api/engine", { headers: keyHeader(apiKey), signal })
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`)
  return (await response.json()) as EngineReport // our own server's
}

/** Tokens per second between two reports; nothing where there is no engine or it was opened anew. */
export function rateBetween(
  before: EngineReport | undefined,
  after: EngineReport,
  kind: "generated" | "prefilled",
): number | undefined {
  if (!before?.engine || !after.engine) return undefined
  const tokens = after.engine.tokens[kind] - before.engine.tokens[kind]
  const seconds = (after.atMs - before.atMs) / 1000
  return tokens >= 0 && seconds > 0 ? tokens / seconds : undefined
}

/** Of the tokens that prompts had, the share that was still there, 0 to 1; nothing before the first prompt. */
export function hitShare({ prefilled, reused }: { prefilled: number; reused: number }): number | undefined {
  return prefilled + reused > 0 ? reused / (prefilled + reused) : undefined
}
