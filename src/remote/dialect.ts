// Step 1. Which server it is and what it serves, asked of the server itself. OpenAI's API is one; how thinking, its
// budget and a few fields are named differs from server to server.

import { UserError } from "../util/errors.ts"
import { RemoteError } from "./failure.ts"
import type { RemoteHttp } from "./http.ts"
import { asList, asNumber, asObject, asText } from "./json.ts"
import type { JsonObject } from "./json.ts"

/** `openai` is whatever is none of the others. */
export type Dialect = "a3b" | "vllm" | "sglang" | "llama-server" | "openai"

export const dialects: readonly Dialect[] = ["a3b", "vllm", "sglang", "llama-server", "openai"]

export interface Identity {
  dialect: Dialect
  model: string
  /** Most tokens of prompt and reply together, where the server tells. */
  context?: number
}

/** What the caller knows already. */
export interface Known {
  dialect: Dialect | "auto"
  model?: string
}

/** What each server writes into `owned_by` of its models. */
const owners: Readonly<Record<string, Dialect>> = {
  a3b: "a3b",
  vllm: "vllm",
  sglang: "sglang",
  llamacpp: "llama-server",
}

/** Asks nothing where both are known. */
export async function identify(http: RemoteHttp, known: Known, signal?: AbortSignal): Promise<Identity> {
  const { dialect, model } = known
  if (dialect !== "auto" && model !== undefined) return { dialect, model }
  const models = await listModels(http, known, signal)
  const served = model === undefined ? onlyOne(http, models) : models.find(({ id }) => id === model)
  const [first] = models
  return {
    dialect: dialect === "auto" ? await dialectOf(http, served ?? first, signal) : dialect,
    model: model ?? asText(served?.id) ?? "",
    context: asNumber(served?.max_model_len),
  }
}

/** Some servers have no list; whoever names the model needs none. */
async function listModels(http: RemoteHttp, { model }: Known, signal?: AbortSignal): Promise<JsonObject[]> {
  try {
    const { data } = await http.get("/models", signal)
    return asList(data)
      .map(asObject)
      .filter((one) => one !== undefined)
  } catch (error) {
    if (model !== undefined && error instanceof RemoteError && error.code === "not-found") return []
    throw error
  }
}

function onlyOne(http: RemoteHttp, models: readonly JsonObject[]): JsonObject {
  const ids = models.flatMap(({ id }) => asText(id) ?? [])
  if (ids.length === 1) return models.find(({ id }) => id === ids[0])! // it is among them
  const what = ids.length === 0 ? "lists no model" : `serves ${ids.length} models`
  const which = ids.length === 0 ? "" : `, one of ${ids.slice(0, 20).join(", ")}`
  throw new UserError(
    "bad-argument",
    `${http.address} ${what}: name the one to talk with (model; --remote-model on the command line)${which}`,
  )
}

/** By the owner of its models, else by paths that only one server has. */
async function dialectOf(
  http: RemoteHttp,
  served: JsonObject | undefined,
  signal?: AbortSignal,
): Promise<Dialect> {
  const owner = asText(served?.owned_by) ?? ""
  if (Object.hasOwn(owners, owner)) return owners[owner]
  const props = await http.probe("/props", signal)
  if (asObject(props?.default_generation_settings)) return "llama-server"
  const version = await http.probe("/version", signal)
  return asText(version?.version) === undefined ? "openai" : "vllm"
}
