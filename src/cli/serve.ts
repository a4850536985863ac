// Serves a model over HTTP until Ctrl-C, which lets the replies under way come to their ends; a second one does not.

import { basename } from "node:path"
import { existsSync } from "node:fs"
import type { Command } from "commander"
import { ProcessModel } from "../server/process-model.ts"
import { serveModel } from "../server/serve.ts"
import type { ServeOptions } from "../server/serve.ts"
import { openBrowser } from "./browser.ts"
import { defaultModel } from "./default-model.ts"
import { interruptExit } from "./failure.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import {
  addAttentionOption,
  addContextOption,
  addKvOptions,
  addModelOptions,
  addPrefillOption,
  addPromoteOption,
  decimal,
  modelArgument,
  wholeNumber,
} from "./options.ts"
import type { AttentionOptions, KvOptions, ModelOptions, PrefillOptions, PromoteOptions } from "./options.ts"
import { note, print } from "./output.ts"
import { count } from "./units.ts"

interface ServeCommandOptions
  extends ModelOptions, KvOptions, AttentionOptions, PrefillOptions, PromoteOptions {
  context?: number
  host: string
  port: number
  apiKeyFile?: string
  anonymous?: boolean
  cors: string[]
  alias: string[]
  idleUnload?: number
  maxRequests: number
  maxTime: number
  maxBody: number
  open?: boolean
}

const collect = (one: string, all: string[]) => [...all, one]

export function define(command: Command): void {
  command.addArgument(modelArgument().argOptional())
  addPromoteOption(
    addPrefillOption(addModelOptions(addAttentionOption(addKvOptions(addContextOption(command))))),
  )
    .option("--host <address>", "address to listen on; only this machine reaches the default", "127.0.0.1")
    .option("--port <number>", "port to listen on, 0 for a free one", wholeNumber(0, 65_535), 8080)
    .option("--api-key-file <file>", "let in only who has a key of this file; see a3b key")
    .option("--anonymous", "let in whoever reaches an address that is not only this machine's")
    .option("--cors <origin>", "let pages of this origin in, * for any; can be repeated", collect, [])
    .option("--alias <name>", "answer to this model name too, * for any; can be repeated", collect, [])
    .option(
      "--idle-unload <minutes>",
      "free the model's memory after so long without requests",
      decimal(0, 1e6),
    )
    .option("--max-requests <number>", "refuse requests beyond so many at once", wholeNumber(1, 1e6), 256)
    .option("--max-time <seconds>", "end a reply that takes longer", wholeNumber(1, 1e6), 3600)
    .option("--max-body <MiB>", "refuse larger requests", wholeNumber(1, 256), 16)
    .option("--open", "open the chat page in the browser")
    .action(serveUntilInterrupted)
}

async function serveUntilInterrupted(named: string | undefined, options: ServeCommandOptions): Promise<void> {
  const model = named ?? defaultModel()
  const modelId = nameOf(model)
  let starting: AbortSignal | undefined
  const open = () => {
    const { threads, backend, tokenizer, context, kv, kvBudget } = options
    const asked = { threads, backend, tokenizer, context, kv, kvBudget, signal: starting, onNotice: note }
    return showingProgress((onProgress) => ProcessModel.open(model, { ...asked, onProgress }))
  }
  const server = await interruptible((signal) => {
    starting = signal
    return serveModel(open, { ...serverOptions(options), modelId, log: note })
  })
  starting = undefined
  print(`${modelId} at ${server.url}/v1, context of ${count(server.context)} tokens`)
  if (server.page === "served") print(`chat page at ${server.url}/`)
  else note("the chat page is not built: run npm run build")
  if (server.page === "served" && options.open) openBrowser(server.url)
  await interrupted()
  note("ending after the replies under way; Ctrl-C again cuts them off")
  await server.close(30_000)
}

function serverOptions(options: ServeCommandOptions): ServeOptions {
  const { host, port, alias, apiKeyFile, anonymous, cors, idleUnload, maxRequests, maxTime, maxBody } =
    options
  return {
    host,
    port,
    aliases: alias,
    apiKeyFile,
    anonymous: anonymous ? "allowed" : undefined,
    origins: cors,
    ...(idleUnload !== undefined && { idleMs: idleUnload * 60_000 }),
    maxRequests,
    maxRequestMs: maxTime * 1000,
    maxBodyBytes: maxBody * 2 ** 20,
  }
}

/** What clients call the model; where it lies is nobody's business. */
function nameOf(model: string): string {
  return existsSync(model) ? basename(model).replace(/\.(safetensors|gguf)$/, "") : model
}

/** Resolves at Ctrl-C or when the system wants the process to end; a second time ends it at once. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    let times = 0
    const interrupt = () => (++times === 1 ? resolve() : process.exit(interruptExit))
    process.on("SIGINT", interrupt)
    process.on("SIGTERM", interrupt)
  })
}
