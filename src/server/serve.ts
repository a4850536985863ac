// Before steps 1 and 9. A model in, a running server out: who may come in is settled, the model opened, the socket bound.

import type { Llm } from "../llm.ts"
import { UserError } from "../util/errors.ts"
import { isLocal } from "./access.ts"
import type { AccessOptions } from "./access.ts"
import { createApp } from "./app.ts"
import { readAccounts } from "./keys.ts"
import { LocalModel } from "./local-model.ts"
import { Page, builtPage } from "./page.ts"
import type { RunningServer } from "./running-server.ts"
import type { ServedModel } from "./served-model.ts"
import { listen } from "./server.ts"

export interface ServeOptions {
  /** Address to listen on; only this machine reaches the default, `127.0.0.1`. */
  host?: string
  /** 8080 where left out, 0 for a free one. */
  port?: number
  /** What clients call the model. */
  modelId?: string
  /** Further names that requests may give it; `*` is any. */
  aliases?: readonly string[]
  /** Lets in only who has a key of this file, which `a3b key` makes. */
  apiKeyFile?: string
  /** An address that other machines reach wants either keys or this. */
  anonymous?: "allowed"
  /** Origins of the pages that may ask; `*` is any. */
  origins?: readonly string[]
  /** The model is freed after so long without a request; only where it is given as a function that opens it anew. */
  idleMs?: number
  /** Requests beyond these are refused at once: 256 where left out. */
  maxRequests?: number
  /** A request that takes longer is ended: after an hour where left out. */
  maxRequestMs?: number
  /** Larger requests are refused: 16 MiB where left out. */
  maxBodyBytes?: number
  /** Told, in a line, what failed on the server's side. */
  log?: (line: string) => void
}

export interface ModelServer extends RunningServer {
  /** Most tokens of prompt and reply together. */
  readonly context: number
  /** Whether the chat page is at the server's root. */
  readonly page: "served" | "not built"
}

const defaults = { modelId: "qwen3-30b-a3b", aliases: [], origins: [], log: () => undefined }
const limits = { maxRequests: 256, maxRequestMs: 3_600_000, maxBodyBytes: 16 << 20 }

/**
 * Serves a model over HTTP, as `a3b serve` does. The model is the server's from then on: `close` frees it. A function
 * that opens it is called at once, and again for the first request after an idle time.
 */
export async function serve(
  model: Llm | (() => Promise<Llm>),
  options: ServeOptions = {},
): Promise<ModelServer> {
  if (typeof model !== "function" && options.idleMs !== undefined)
    throw new UserError(
      "bad-argument",
      "idleMs frees the model, and a model that is loaded already cannot be opened anew: give a function that loads it",
    )
  const open = async () => new LocalModel(typeof model === "function" ? await model() : givenOnce(model))
  return serveModel(open, options)
}

/** The same for a model that may be anywhere. */
export async function serveModel(
  open: () => Promise<ServedModel>,
  options: ServeOptions = {},
): Promise<ModelServer> {
  const { host = "127.0.0.1", port = 8080 } = options
  const access = accessOf(host, options)
  const page = Page.read(builtPage)
  const app = createApp({ ...defaults, ...limits, ...given(options), ...access, page, open })
  try {
    // A model that cannot be loaded shall be known before anyone asks for it.
    const context = await app.service.context()
    const { url, close } = await listen(app, { host, port })
    return { url, close, context, page: page ? "served" : "not built" }
  } catch (error) {
    await app.service.drain(0)
    throw error
  }
}

/** A model that was handed over open can be freed, for it failed, but not opened anew. */
function givenOnce(model: Llm): Llm {
  if (model.engine.health === "sound") return model
  throw new Error("the model failed, and it was handed over open: give serve a function that loads it")
}

/** Without what was left out. */
function given(options: ServeOptions): ServeOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function accessOf(host: string, { apiKeyFile, anonymous, origins = [] }: ServeOptions): AccessOptions {
  const reach = isLocal(host) ? "local" : "network"
  if (reach === "network" && apiKeyFile === undefined && anonymous === undefined)
    throw new UserError(
      "bad-argument",
      `${host} can be reached from other machines, and everybody there could use the model: ` +
        "give --api-key-file (apiKeyFile), or --anonymous (anonymous) if that is wanted",
    )
  return { reach, origins, ...(apiKeyFile !== undefined && { accounts: readAccounts(apiKeyFile) }) }
}
