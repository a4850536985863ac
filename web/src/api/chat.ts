// A request in, what the model says as events out, each with its time since the request. The wire's shapes end here.

import { eventData } from "./sse.ts"

export type ReplyEvent = { atMs: number } & (
  | { type: "thought"; text: string }
  | { type: "text"; text: string }
  | { type: "call"; index: number; id?: string; name?: string; arguments: string }
  | {
      type: "usage"
      promptTokens: number
      cachedTokens: number
      tokens: number
      thoughtTokens: number
    }
  | { type: "finish"; reason: string; diagnostic?: string }
)

/** The parts of a chunk of /v1/chat/completions that are read here. */
interface Chunk {
  error?: { message?: string }
  choices?: {
    delta?: {
      reasoning_content?: string
      content?: string
      tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[]
    }
    finish_reason?: string | null
    diagnostic?: string
  }[]
  usage?: {
    prompt_tokens: number
    completion_tokens: number
    prompt_tokens_details?: { cached_tokens?: number }
    completion_tokens_details?: { reasoning_tokens?: number }
  }
}

/** Throws what the server refuses or breaks off with, in its own words. */
export async function* streamReply(
  body: object,
  { apiKey, signal }: { apiKey: string; signal: AbortSignal },
): AsyncGenerator<ReplyEvent> {
  const startedAt = performance.now()
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...keyHeader(apiKey) },
    signal,
  })
  if (!response.ok || !response.body) throw new Error(await refusalOf(response))
  let last = ""
  for await (const data of eventData(response.body)) {
    last = data
    if (data === "[DONE]") break
    yield* eventsOf(JSON.parse(data) as Chunk, performance.now() - startedAt) // our own server's
  }
  if (last !== "[DONE]") throw new Error("the connection ended in the middle of the reply")
}

export function keyHeader(apiKey: string): Record<string, string> {
  return apiKey === "" ? {} : { authorization: `Bearer ${apiKey}` }
}

export function eventsOf({ error, choices = [], usage }: Chunk, atMs: number): ReplyEvent[] {
  if (error) throw new Error(error.message ?? "the server failed")
  const events: ReplyEvent[] = []
  for (const { delta = {}, finish_reason, diagnostic } of choices) {
    const { reasoning_content, content, tool_calls = [] } = delta
    if (reasoning_content) events.push({ type: "thought", text: reasoning_content, atMs })
    if (content) events.push({ type: "text", text: content, atMs })
    for (const { index, id, function: called } of tool_calls)
      events.push({ type: "call", index, id, name: called?.name, arguments: called?.arguments ?? "", atMs })
    if (finish_reason) events.push({ type: "finish", reason: finish_reason, diagnostic, atMs })
  }
  if (usage) events.push({ ...usageOf(usage), atMs })
  return events
}

function usageOf(usage: NonNullable<Chunk["usage"]>) {
  return {
    type: "usage" as const,
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    tokens: usage.completion_tokens,
    thoughtTokens: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  }
}

async function refusalOf(response: Response): Promise<string> {
  const text = await response.text()
  try {
    const { error } = JSON.parse(text) as Chunk // or not JSON at all, from a proxy in between
    if (error?.message !== undefined) return error.message
  } catch {
    // The status has to say it.
  }
  return `${response.status} ${response.statusText}`
}
