// A hub's name for a model in, the files it has there out, each with its size, checksum and URL. Knows Hugging Face
// and ModelScope; never downloads a file.

import type { Json } from "../types.ts"
import { messageOf, UserError } from "../util/errors.ts"
import type { RemoteFile } from "./download.ts"
import { counted } from "./file.ts"
import { httpLimits, openUrl, persist, readBody, StallWatch, type HttpLimits } from "./http.ts"
import { isObject, type JsonObject } from "./json.ts"
import type { Checksum } from "./part.ts"

export interface HubId {
  hub: "hf" | "modelscope"
  /** `owner/model` */
  name: string
  revision: string
  /** One file of a GGUF repository. */
  file?: string
}

export interface HubOptions {
  /** Base URL in place of the hub's own; HF_ENDPOINT and MODELSCOPE_ENDPOINT do the same. */
  endpoint?: string
  /** For Hugging Face; HF_TOKEN where absent. */
  token?: string
  limits?: HttpLimits
  signal?: AbortSignal
}

export interface HubFile extends RemoteFile {
  /** In the repository. */
  path: string
}

const hubs = {
  hf: { endpoint: "https://huggingface.co", variable: "HF_ENDPOINT", revision: "main" },
  modelscope: { endpoint: "https://modelscope.cn", variable: "MODELSCOPE_ENDPOINT", revision: "master" },
} as const

const maxFiles = 100_000
const maxListingBytes = 100_000_000
const maxListingAttempts = 4

/** `[hf:|modelscope:]owner/model[@revision][/file.gguf]`; undefined for anything else. */
export function parseHubId(id: string): HubId | undefined {
  const match =
    /^(?:(hf|modelscope):)?([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+?))?(?:\/([\w./ -]+\.gguf))?$/.exec(id)
  if (match === null) return undefined
  const [, hub = "hf", name, revision, file] = match
  if (hub !== "hf" && hub !== "modelscope") return undefined
  return { hub, name, revision: revision ?? hubs[hub].revision, ...(file !== undefined && { file }) }
}

export async function listFiles(id: HubId, options: HubOptions = {}): Promise<HubFile[]> {
  const files: HubFile[] = []
  const list = id.hub === "hf" ? listHuggingFace(id, options) : listModelScope(id, options)
  try {
    for await (const file of list) {
      files.push(file)
      if (files.length > maxFiles) throw badListing(id, `more than ${counted(maxFiles)} files`)
    }
  } catch (error) {
    throw error instanceof UserError ? error : badListing(id, messageOf(error), error)
  }
  return files
}

async function* listHuggingFace(id: HubId, options: HubOptions): AsyncGenerator<HubFile> {
  const base = endpointOf(id, options)
  const token = options.token ?? process.env.HF_TOKEN
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
  const { listFiles: listEntries } = await import("@huggingface/hub")
  const entries = listEntries({
    repo: { type: "model", name: id.name },
    recursive: true,
    revision: encodeURIComponent(id.revision),
    hubUrl: base,
    // The next page's address is the server's word: the token goes to the hub alone.
    fetch: (url) =>
      getJson(String(url), new URL(String(url)).origin === new URL(base).origin ? headers : {}, options),
  })
  for await (const { type, path, size, oid, lfs } of entries) {
    if (type !== "file") continue
    const checksum = lfs ? sha256(lfs.oid) : gitSha1(oid)
    yield hubFile(id, path, lfs?.size ?? size, checksum, `${base}/${id.name}/resolve`, headers)
  }
}

async function* listModelScope(id: HubId, options: HubOptions): AsyncGenerator<HubFile> {
  const base = endpointOf(id, options)
  const query = `Revision=${encodeURIComponent(id.revision)}&Recursive=true`
  const response = await getJson(`${base}/api/v1/models/${id.name}/repo/files?${query}`, {}, options)
  const answer = (await response.json()) as Json // JSON of any kind; looked at field by field
  const data = isObject(answer) ? answer.Data : undefined
  const entries = isObject(data) ? data.Files : undefined
  if (!Array.isArray(entries)) throw badListing(id, "an answer without Data.Files")
  for (const { Type: type, Path: path, Size: size, Sha256: hash } of entries.filter(isObject) as JsonObject[])
    if (type === "blob") yield hubFile(id, path, size, sha256(hash), `${base}/models/${id.name}/resolve`, {})
}

function getJson(url: string, headers: Record<string, string>, options: HubOptions): Promise<Response> {
  const { limits = httpLimits, signal } = options
  const get = async () => {
    const watch = new StallWatch(limits.stallMs, signal)
    try {
      const response = await openUrl(url, { ...headers, accept: "application/json" }, watch.signal)
      // Read here, so that silence in the middle of the body is cut off as well.
      return new Response(await readBody(response, maxListingBytes, watch), { headers: response.headers })
    } finally {
      watch.close()
    }
  }
  // Whoever has no network learns it soon.
  const attempts = Math.min(limits.attempts, maxListingAttempts)
  return persist(get, { what: `listing ${url}`, limits: { ...limits, attempts }, signal })
}

/** Checks what the listing says of one file; paths stay inside the repository. */
function hubFile(
  id: HubId,
  path: Json | undefined,
  bytes: Json | undefined,
  checksum: Checksum | undefined,
  resolve: string,
  headers: Record<string, string>,
): HubFile {
  if (typeof path !== "string" || path.startsWith("/") || path.split("/").includes(".."))
    throw badListing(id, "a file without a sound path")
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0)
    throw badListing(id, `no size of ${path}`)
  if (checksum === undefined) throw badListing(id, `no checksum of ${path}`)
  const place = [encodeURIComponent(id.revision), ...path.split("/").map(encodeURIComponent)].join("/")
  return { path, bytes, checksum, url: `${resolve}/${place}`, headers }
}

function sha256(hex: Json | undefined): Checksum | undefined {
  return typeof hex === "string" && /^[0-9a-f]{64}$/.test(hex) ? { algorithm: "sha256", hex } : undefined
}

function gitSha1(hex: Json | undefined): Checksum | undefined {
  return typeof hex === "string" && /^[0-9a-f]{40}$/.test(hex) ? { algorithm: "git-sha1", hex } : undefined
}

function endpointOf({ hub }: HubId, { endpoint }: HubOptions): string {
  const url = endpoint ?? (process.env[hubs[hub].variable] || hubs[hub].endpoint)
  if (!URL.canParse(url))
    throw new UserError(
      "bad-argument",
      `${url} is no URL for ${hubs[hub].variable}: give one such as ${hubs[hub].endpoint}`,
    )
  return url.replace(/\/+$/, "")
}

function badListing(id: HubId, got: string, cause?: unknown): UserError {
  return new UserError(
    "network",
    `the listing of ${id.name} has ${got}; wanted files with path, size and checksum: try again later or use the ` +
      `other hub (${id.hub === "hf" ? "modelscope" : "hf"}:${id.name})`,
    { cause },
  )
}
