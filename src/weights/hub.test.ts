import { afterEach, expect, test, vi } from "vitest"
import { HubServer, modelId, sha256 } from "../../test/hub-server.ts"
import { refusal } from "../../test/refusal.ts"
import type { Json } from "../types.ts"
import { downloadStart } from "./download.ts"
import { listFiles, parseHubId, type HubFile, type HubId } from "./hub.ts"

const limits = { stallMs: 10_000, attempts: 2, waitMs: 1 }
const files = {
  "config.json": new TextEncoder().encode("{}"),
  "model.safetensors": new Uint8Array(100).fill(7),
  "sub folder/a#b.gguf": new Uint8Array(10),
}
const hf: HubId = { hub: "hf", name: modelId, revision: "main" }
const modelscope: HubId = { hub: "modelscope", name: modelId, revision: "master" }

afterEach(() => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
})

test.each<[string, HubId | undefined]>([
  [
    "Qwen/Qwen3-30B-A3B-Thinking-2507",
    { hub: "hf", name: "Qwen/Qwen3-30B-A3B-Thinking-2507", revision: "main" },
  ],
  ["hf:Qwen/Qwen3-30B-A3B", { hub: "hf", name: "Qwen/Qwen3-30B-A3B", revision: "main" }],
  ["modelscope:Qwen/Qwen3-30B-A3B", { hub: "modelscope", name: "Qwen/Qwen3-30B-A3B", revision: "master" }],
  ["Qwen/Qwen3-30B-A3B@v1.0", { hub: "hf", name: "Qwen/Qwen3-30B-A3B", revision: "v1.0" }],
  ["Qwen/Qwen3-30B-A3B@refs/pr/7", { hub: "hf", name: "Qwen/Qwen3-30B-A3B", revision: "refs/pr/7" }],
  ["a/b-GGUF/b-Q4_0.gguf", { hub: "hf", name: "a/b-GGUF", revision: "main", file: "b-Q4_0.gguf" }],
  ["a/b-GGUF/BF16/b.gguf", { hub: "hf", name: "a/b-GGUF", revision: "main", file: "BF16/b.gguf" }],
  ["modelscope:a/b@dev/b.gguf", { hub: "modelscope", name: "a/b", revision: "dev", file: "b.gguf" }],
  ["qwen3", undefined],
  ["/models/qwen", undefined],
  ["./a/b", undefined],
  ["../a", undefined],
  ["a/..", undefined],
  ["a/b/c", undefined],
  ["ollama:a/b", undefined],
  ["https://huggingface.co/a/b", undefined],
  ["a/b@", undefined],
  ["", undefined],
])("%s names a model at a hub, or does not", (id, wanted) => {
  expect(parseHubId(id)).toEqual(wanted)
})

test.each([hf, modelscope])(
  "$hub lists each file with size, checksum and an address that serves it",
  async (id) => {
    const hub = await HubServer.start(files)
    const listed = await listFiles(id, { endpoint: `${hub.url}/`, limits })
    expect(listed.map(({ path, bytes }) => [path, bytes])).toEqual([
      ["config.json", 2],
      ["model.safetensors", 100],
      ["sub folder/a#b.gguf", 10],
    ])
    expect(listed[1].checksum).toEqual({ algorithm: "sha256", hex: sha256(files["model.safetensors"]) })
    for (const file of listed)
      expect(await downloadStart(file, 1000, { limits })).toEqual(hub.files.get(file.path))
  },
)

test("Hugging Face's small files have git's checksum", async () => {
  const hub = await HubServer.start(files)
  const [config] = await listFiles(hf, { endpoint: hub.url, limits })
  // printf {} | git hash-object --stdin
  expect(config.checksum).toEqual({ algorithm: "git-sha1", hex: "9e26dfeeb6e641a33dae4961196235bdb965b21b" })
})

test("revisions and environment variables choose the address", async () => {
  const hub = await HubServer.start(files)
  vi.stubEnv("HF_ENDPOINT", hub.url)
  vi.stubEnv("MODELSCOPE_ENDPOINT", hub.url)
  const listed = [
    ...(await listFiles({ ...hf, revision: "refs/pr/7" }, { limits })),
    ...(await listFiles({ ...modelscope, revision: "v1" }, { limits })),
  ]
  expect(listed.map(({ url }) => url.slice(hub.url.length))).toContain(
    `/${modelId}/resolve/refs%2Fpr%2F7/config.json`,
  )
  expect(listed.map(({ url }) => url.slice(hub.url.length))).toContain(
    `/models/${modelId}/resolve/v1/config.json`,
  )
  expect(hub.requests[0].path).toBe(`/api/models/${modelId}/tree/refs%2Fpr%2F7`)
  vi.stubEnv("HF_ENDPOINT", "not an address")
  expect((await refusal(() => listFiles(hf, { limits }))).code).toBe("bad-argument")
})

test("HF_TOKEN goes to Hugging Face and to no other hub", async () => {
  const hub = await HubServer.start(files)
  vi.stubEnv("HF_TOKEN", "secret")
  const fetchStart = ([file]: HubFile[]) => downloadStart(file, 1, { limits })
  await fetchStart(await listFiles(hf, { endpoint: hub.url, limits }))
  await fetchStart(await listFiles(modelscope, { endpoint: hub.url, limits }))
  const seen = hub.requests.map(({ authorization }) => authorization)
  expect(seen).toEqual(["Bearer secret", "Bearer secret", undefined, undefined])
})

test("the token stays at the hub when a file or the next page of a listing is elsewhere", async () => {
  const elsewhere = await HubServer.start(files)
  const hub = await HubServer.start(files)
  const away = (path: string) => ({
    status: 302,
    headers: { location: `${elsewhere.url}${path}` },
    body: new Uint8Array(0),
  })
  const listed = await listFiles(hf, { endpoint: hub.url, limits, token: "secret" })
  hub.fault("model.safetensors", (response) => {
    const { status, headers } = away(`/${modelId}/resolve/main/model.safetensors`)
    response.writeHead(status, headers).end()
  })
  expect(await downloadStart(listed[1], 5, { limits })).toEqual(files["model.safetensors"].slice(0, 5))
  expect(elsewhere.requests).toEqual([expect.objectContaining({ authorization: undefined })])
  const next = `<${elsewhere.url}/api/models/${modelId}/tree/main?page=2>; rel="next"`
  hub.listingHeaders = { link: next }
  expect(await listFiles(hf, { endpoint: hub.url, limits, token: "secret" })).toHaveLength(6)
  expect(elsewhere.requests[1]).toMatchObject({ authorization: undefined })
})

const entry = { type: "file", path: "f", size: 1, oid: "0".repeat(40) }

test.each<[string, Json, string]>([
  ["is no list", { error: "no" }, "is not iterable"],
  ["has a path out of the repository", [{ ...entry, path: "../f" }], "a file without a sound path"],
  ["has an absolute path", [{ ...entry, path: "/f" }], "a file without a sound path"],
  ["has no path", [{ ...entry, path: null }], "a file without a sound path"],
  ["has no size", [{ ...entry, size: "1" }], "no size of f"],
  ["has a negative size", [{ ...entry, size: -1 }], "no size of f"],
  ["has no checksum", [{ ...entry, oid: "x" }], "no checksum of f"],
  ["has a broken checksum", [{ ...entry, lfs: { oid: "x", size: 1, pointerSize: 1 } }], "no checksum of f"],
])("a listing that %s is refused", async (_, listing, message) => {
  const hub = await HubServer.start(files)
  hub.relist = () => listing
  const got = await refusal(() => listFiles(hf, { endpoint: hub.url, limits }))
  expect(got.message).toContain(message)
  expect(got.code).toBe("network")
})

test("ModelScope's answer without files is refused", async () => {
  const hub = await HubServer.start(files)
  hub.relist = () => "none"
  const { code, message } = await refusal(() => listFiles(modelscope, { endpoint: hub.url, limits }))
  expect([code, message]).toEqual(["network", expect.stringContaining("an answer without Data.Files")])
})

test("a listing that never ends is refused", async () => {
  const hub = await HubServer.start(files)
  hub.listingHeaders = { link: `<${hub.url}/api/models/${modelId}/tree/main>; rel="next"` }
  hub.relist = () => Array<Json>(60_000).fill(entry)
  const { message } = await refusal(() => listFiles(hf, { endpoint: hub.url, limits }))
  expect(message).toContain("more than 100,000 files")
})

test("a model that a hub does not have is not found", async () => {
  const hub = await HubServer.start(files)
  const { code } = await refusal(() =>
    listFiles({ ...hf, name: "owner/other" }, { endpoint: hub.url, limits }),
  )
  expect(code).toBe("not-found")
})
