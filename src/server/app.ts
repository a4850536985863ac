// Steps 1 and 9. The routes: which path is answered by whom, and what is looked at before. Requests in, responses out,
// without a socket: tests call it as the network does.

import { Hono } from "hono"
import { cors } from "hono/cors"
import { messageOf } from "../util/errors.ts"
import { admit } from "./access.ts"
import type { AccessOptions } from "./access.ts"
import { ApiError, anthropicError, openAiError, toApiError } from "./api-error.ts"
import { Endpoint, newId } from "./endpoint.ts"
import type { RequestContext, ServerEnv } from "./endpoint.ts"
import { reportEngine } from "./engine-report.ts"
import { Metrics } from "./metrics.ts"
import { ModelHost } from "./model-host.ts"
import type { HostOptions } from "./model-host.ts"
import { countTokens, messages } from "./anthropic/messages.ts"
import { chatCompletions } from "./openai/chat.ts"
import { completions } from "./openai/completions.ts"
import { listModels, showModel } from "./openai/models.ts"
import { responses } from "./openai/responses.ts"
import type { Page } from "./page.ts"
import { Service } from "./service.ts"
import { detokenize, tokenize } from "./tokens.ts"

export interface AppOptions extends HostOptions, AccessOptions {
  modelId: string
  /** Further names that requests may give the model; `*` is any. */
  aliases: readonly string[]
  maxBodyBytes: number
  /** Requests beyond these are refused at once. */
  maxRequests: number
  /** A request that takes longer is ended. */
  maxRequestMs: number
  /** Served besides, where there is one. */
  page?: Page
  /** Told, in a line, what failed on our side. */
  log: (line: string) => void
}

export interface App {
  /** A request in, its response out. */
  readonly fetch: Hono<ServerEnv>["fetch"]
  readonly request: Hono<ServerEnv>["request"]
  readonly service: Service
}

export function createApp(options: AppOptions): App {
  const onRestart = () => options.log("the model failed: it is opened anew")
  const host = new ModelHost({ ...options, onRestart })
  const metrics = new Metrics(options.modelId, host)
  const service = new Service({ ...options, host, metrics })
  const fail = (c: RequestContext, error: ApiError) => {
    metrics.failure(error.status)
    if (error.status < 500 || error.cause === undefined) return
    options.log(`${c.get("requestId")} ${c.req.method} ${c.req.path} ${error.status}: ${causeOf(error)}`)
  }
  const endpoint = new Endpoint({ ...options, service, onFailure: fail })
  const app = new Hono<ServerEnv>()
  if (options.origins.length > 0)
    app.use(cors({ origin: options.origins.includes("*") ? "*" : [...options.origins] }))
  app.use(async (c, next) => {
    c.set("requestId", newId("req_"))
    c.res.headers.set("x-request-id", c.get("requestId"))
    if (!URL.canParse(c.req.url)) throw new ApiError(400, "host is no name that a URL can have: send another")
    if (!isOpen(c.req.path, options)) c.set("account", admit(c.req.raw, options))
    await next()
  })
  addRoutes(app, endpoint)
  addWatching(app, { host, metrics, service })
  app.get("/api/engine", async (c) => {
    c.header("cache-control", "no-store")
    return c.json(await reportEngine(options.modelId, host))
  })
  app.get("*", async (c, next) => options.page?.answer(c.req.raw) ?? next())
  app.notFound((c) => answerError(c, new ApiError(404, "nothing is served at this path and method")))
  app.onError((error, c) => {
    const failure = toApiError(error)
    fail(c, failure)
    return answerError(c, failure)
  })
  return { fetch: app.fetch, request: app.request, service }
}

/** A browser asks for the page without a key, which the page then sends with what it asks. */
function isOpen(path: string, { accounts, page }: AppOptions): boolean {
  return path === "/health" || (accounts !== undefined && page?.has(path) === true)
}

function addRoutes(app: Hono<ServerEnv>, endpoint: Endpoint): void {
  app.post("/v1/chat/completions", (c) => chatCompletions(endpoint, c))
  app.post("/v1/completions", (c) => completions(endpoint, c))
  app.post("/v1/responses", (c) => responses(endpoint, c))
  app.post("/v1/messages", (c) => messages(endpoint, c))
  app.post("/v1/messages/count_tokens", (c) => countTokens(endpoint, c))
  app.get("/v1/models", (c) => listModels(endpoint, c))
  app.get("/v1/models/:id{.+}", (c) => showModel(endpoint, c, c.req.param("id")))
  app.post("/tokenize", (c) => tokenize(endpoint, c))
  app.post("/detokenize", (c) => detokenize(endpoint, c))
  app.post("/v1/embeddings", () => {
    throw new ApiError(501, "this model writes text and has no embeddings: use an embedding model for them")
  })
}

/** For those who keep an eye on the server. */
function addWatching(
  app: Hono<ServerEnv>,
  { host, metrics, service }: { host: ModelHost; metrics: Metrics; service: Service },
): void {
  app.get("/health", (c) => {
    const state = service.state === "draining" ? "draining" : "ok"
    const { state: model, numRestarts: restarts } = host
    return c.json({ status: state, model, restarts }, state === "ok" ? 200 : 503)
  })
  app.get("/metrics", async (c) => {
    const { text, type } = await metrics.text()
    return c.body(text, 200, { "content-type": type })
  })
}

function answerError(c: RequestContext, error: ApiError): Response {
  const body = c.req.path.startsWith("/v1/messages") ? anthropicError(error) : openAiError(error)
  // 499 is nobody's to read and no status that Response allows a type for.
  return c.body(JSON.stringify(body), error.status as 500, {
    ...error.headers,
    "content-type": "application/json",
  })
}

function causeOf(error: ApiError): string {
  return error.cause === undefined ? error.message : messageOf(error.cause)
}
