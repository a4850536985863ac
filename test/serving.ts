// The server's app around a model, and its answers read as a client reads them, for tests.

import { createApp } from "../src/server/app.ts"
import type { App, AppOptions } from "../src/server/app.ts"
import type { ServedModel } from "../src/server/served-model.ts"
import type { Json } from "../src/types.ts"

export interface Serving extends App {
  /** Lines that the server logged. */
  lines: string[]
}

export function serving(model: ServedModel, options: Partial<AppOptions> = {}): Serving {
  const lines: string[] = []
  const app = createApp({
    open: async () => model,
    modelId: "fake",
    aliases: [],
    origins: [],
    reach: "local",
    maxBodyBytes: 1 << 20,
    maxRequests: 64,
    maxRequestMs: 60_000,
    log: (line) => lines.push(line),
    ...options,
  })
  return { ...app, lines }
}

export function post(app: App, path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  return Promise.resolve(app.request(`http://localhost${path}`, { method: "POST", body: text, ...init }))
}

/** Any JSON answer, for tests to look into. */
export type Answer = { [key: string]: Answer } & Answer[] & Json

export async function answerOf(response: Response | Promise<Response>): Promise<Answer> {
  return (await (await response).json()) as Answer
}

/** The data of each server-sent event; comments are passed over. */
export function eventsIn(text: string): string[] {
  const blocks = text.split("\n\n").slice(0, -1)
  return blocks.flatMap((block) =>
    block
      .split("\n")
      .filter((line) => line.startsWith("data: "))
      .map((line) => line.slice(6)),
  )
}

export async function jsonEventsOf(response: Response | Promise<Response>): Promise<Answer[]> {
  const data = eventsIn(await (await response).text()).filter((text) => text !== "[DONE]")
  return data.map((text) => JSON.parse(text) as Answer)
}
