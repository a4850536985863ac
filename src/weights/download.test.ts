import {
  appendFileSync,
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { join } from "node:path"
import { expect, test } from "vitest"
import { concat, randomBytes, testFolder } from "../../test/checkpoint-files.ts"
import {
  chunked,
  cutAfter,
  fail,
  HubServer,
  instead,
  sha256,
  silent,
  stallAfter,
  type Fault,
} from "../../test/hub-server.ts"
import { seeded } from "../../test/random.ts"
import { refusal, unprivileged } from "../../test/refusal.ts"
import type { ErrorCode } from "../util/errors.ts"
import { downloadFile, downloadStart, type DownloadOptions, type RemoteFile } from "./download.ts"

const content = randomBytes(seeded(5), 10_000)
const limits = { stallMs: 10_000, attempts: 3, waitMs: 1 }
/** For servers that fall silent. */
const impatient = { ...limits, stallMs: 300 }

interface Setup {
  hub: HubServer
  file: RemoteFile
  folder: string
  target: string
  download: (options?: DownloadOptions) => Promise<void>
}

async function setup(...faults: Fault[]): Promise<Setup> {
  const hub = await HubServer.start({ f: content })
  hub.fault("f", ...faults)
  const folder = testFolder()
  const target = join(folder, "f")
  const checksum = { algorithm: "sha256", hex: sha256(content) } as const
  const file: RemoteFile = {
    url: `${hub.url}/m/resolve/main/f`,
    headers: {},
    bytes: content.length,
    checksum,
  }
  return {
    hub,
    file,
    folder,
    target,
    download: (options) => downloadFile(file, target, { limits, ...options }),
  }
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo // a TCP server's address is one
  await new Promise((resolve) => server.close(resolve))
  return port
}

const ranges = ({ hub }: Setup) => hub.requestsFor("f").map(({ range }) => range)

/** The whole file, and nothing else. */
function expectWhole({ folder, target }: Setup): void {
  expect(readdirSync(folder)).toEqual(["f"])
  expect(new Uint8Array(readFileSync(target))).toEqual(content)
}

// ---- a network that fails

test("a file comes whole, once", async () => {
  const run = await setup()
  const seen: number[] = []
  await run.download({ onBytes: (bytes) => seen.push(bytes) })
  expectWhole(run)
  expect(seen.at(-1)).toBe(content.length)
  await run.download()
  expect(ranges(run)).toEqual([undefined])
})

test("an empty file needs no request", async () => {
  const { file, folder } = await setup()
  const hex = sha256(new Uint8Array(0))
  await downloadFile({ ...file, bytes: 0, checksum: { algorithm: "sha256", hex } }, join(folder, "empty"), {
    limits,
  })
  expect(readFileSync(join(folder, "empty"))).toHaveLength(0)
})

test("cut connections go on where they ended", async () => {
  const run = await setup(cutAfter(3000), cutAfter(1000))
  await run.download()
  expectWhole(run)
  expect(ranges(run)).toEqual([undefined, "bytes=3000-", "bytes=4000-"])
})

test("a connection that falls silent is given up and goes on where it ended", async () => {
  const run = await setup(stallAfter(2500), silent)
  await run.download({ limits: impatient })
  expectWhole(run)
  expect(ranges(run)).toEqual([undefined, "bytes=2500-", "bytes=2500-"])
})

test("a busy server is asked again", async () => {
  const run = await setup(fail(503), fail(429))
  await run.download()
  expectWhole(run)
})

test("a body of unknown length that ends early goes on where it ended", async () => {
  const run = await setup(chunked((body) => body.slice(0, 700)))
  await run.download()
  expectWhole(run)
  expect(ranges(run)).toEqual([undefined, "bytes=700-"])
})

test("a server that knows no ranges starts over", async () => {
  const run = await setup(
    cutAfter(5000),
    instead(() => ({ status: 200, headers: {}, body: content })),
  )
  await run.download()
  expectWhole(run)
})

test("a server that refuses a range starts over", async () => {
  const run = await setup(cutAfter(5000), fail(416))
  await run.download()
  expectWhole(run)
  expect(ranges(run)).toEqual([undefined, "bytes=5000-", undefined])
})

test("an ETag that changes with every answer does no harm where the bytes are right", async () => {
  const tagged =
    (etag: string, fault: Fault): Fault =>
    (response, reply, request) =>
      fault(response, { ...reply, headers: { ...reply.headers, etag } }, request)
  const run = await setup(
    tagged(`"a"`, cutAfter(4000)),
    tagged(`"b"`, cutAfter(2000)),
    tagged(
      `"c"`,
      instead(() => ({})),
    ),
  )
  await run.download()
  expectWhole(run)
})

// ---- runs that end early

test("a cancelled download says so at once and goes on in the next run", async () => {
  const run = await setup(stallAfter(6000))
  const abort = new AbortController()
  const started = performance.now()
  const running = run.download({
    signal: abort.signal,
    onBytes: (bytes) => bytes === 6000 && abort.abort(),
  })
  expect((await refusal(() => running)).code).toBe("cancelled")
  expect(performance.now() - started).toBeLessThan(10_000)
  expect(existsSync(run.target)).toBe(false)
  await run.download()
  expectWhole(run)
  expect(ranges(run)).toEqual([undefined, "bytes=6000-"])
})

/** Leaves a part of 6,000 bytes and its journal, as a stopped run does. */
async function stopped(run: Setup): Promise<void> {
  run.hub.fault("f", cutAfter(6000), fail(404))
  await refusal(() => run.download())
  expect(readdirSync(run.folder)).toEqual(["f.part", "f.part.json"])
}

test("what a crash wrote behind the journal is not trusted", async () => {
  const run = await setup()
  await stopped(run)
  // More than the file has: whatever is left of it would be too long.
  appendFileSync(`${run.target}.part`, new Uint8Array(9000))
  await run.download()
  expectWhole(run)
  expect(ranges(run).at(-1)).toBe("bytes=6000-")
})

test("a part that lost bytes goes on from what there is", async () => {
  const run = await setup()
  await stopped(run)
  writeFileSync(`${run.target}.part`, content.slice(0, 100))
  await run.download()
  expectWhole(run)
  expect(ranges(run).at(-1)).toBe("bytes=100-")
})

test("a part that was changed is found by its checksum and downloaded again", async () => {
  const run = await setup()
  await stopped(run)
  writeFileSync(`${run.target}.part`, new Uint8Array(6000))
  await run.download()
  expectWhole(run)
  expect(ranges(run).slice(-2)).toEqual(["bytes=6000-", undefined])
})

test.each<[string, string]>([
  ["no journal", ""],
  ["the journal of another file", `{"file":"10000 sha256 ${"0".repeat(64)}","safe":6000}`],
  ["a journal that was cut", `{"file":"10000 sha`],
])("a part with %s starts over", async (_, journal) => {
  const run = await setup()
  await stopped(run)
  writeFileSync(`${run.target}.part.json`, journal)
  await run.download()
  expectWhole(run)
  expect(ranges(run).at(-1)).toBeUndefined()
})

// ---- a server that lies

const half = content.slice(0, 5000)
const other = content.map((byte) => byte ^ 1)

test.each<[string, Fault[], ErrorCode, string]>([
  [
    "a length that is too long",
    [instead(({ body }) => ({ body: concat(body, half) }))],
    "network",
    "sent 15,000 bytes; wanted 10,000",
  ],
  [
    "a length that is too short",
    [instead(() => ({ body: half }))],
    "network",
    "sent 5,000 bytes; wanted 10,000",
  ],
  [
    "more bytes than it lists",
    [chunked((body) => concat(body, half))],
    "network",
    "sent more bytes; wanted 10,000",
  ],
  [
    "other bytes",
    [instead(() => ({ body: other }))],
    "network",
    `sent sha256 ${sha256(other)}; wanted ${sha256(content)}`,
  ],
  [
    "one half of one file and one of another",
    [
      cutAfter(5000),
      instead(({ headers }) => ({ headers: { ...headers, etag: `"other"` }, body: other.slice(5000) })),
    ],
    "network",
    "sent sha256",
  ],
  [
    "a range that begins elsewhere",
    [
      cutAfter(5000),
      instead(({ headers }) => ({ headers: { ...headers, "content-range": "bytes 4000-9999/10000" } })),
    ],
    "network",
    "sent bytes 4000-9999/10000; wanted bytes 5000-9999/10000",
  ],
  [
    "a range of another file",
    [
      cutAfter(5000),
      instead(({ headers }) => ({ headers: { ...headers, "content-range": "bytes 5000-9999/20000" } })),
    ],
    "network",
    "wanted bytes 5000-9999/10000",
  ],
  [
    "a range without saying which",
    [cutAfter(5000), instead(() => ({ headers: {} }))],
    "network",
    "sent no content-range",
  ],
  [
    "the same bytes and a cut, again and again",
    Array(9).fill(cutAfter(0)),
    "network",
    "failed 3 times in a row",
  ],
  [
    "silence, again and again",
    Array(9).fill(silent),
    "network",
    "the last time because of: nothing came for 0.3 s",
  ],
  [
    "only refusals to go on",
    [cutAfter(5000), ...Array(9).fill(fail(416))],
    "network",
    "failed 3 times in a row",
  ],
  ["only errors", Array(9).fill(fail(500)), "network", "the last time because of: HTTP 500"],
  ["no file", [fail(404)], "not-found", "check the model's id and revision"],
  ["no access", [fail(403)], "permission", "set HF_TOKEN"],
  ["no access without a token", [fail(401)], "permission", "set HF_TOKEN"],
  ["a status that means nothing here", [fail(418)], "network", "answered with HTTP 418"],
])("%s ends in one error and nothing under the file's name", async (_, faults, code, message) => {
  const run = await setup(...faults)
  const got = await refusal(() => run.download({ limits: faults.includes(silent) ? impatient : limits }))
  expect(got.message).toContain(message)
  expect(got.code).toBe(code)
  expect(existsSync(run.target)).toBe(false)
})

test("bytes with the wrong checksum leave nothing behind", async () => {
  const run = await setup(instead(() => ({ body: other })))
  await refusal(() => run.download())
  expect(readdirSync(run.folder)).toEqual([])
})

test("nobody at the address is a matter of the network, and the reason is told", async () => {
  const { file, target } = await setup()
  const port = await freePort()
  const { code, message } = await refusal(() =>
    downloadFile({ ...file, url: `http://127.0.0.1:${port}/f` }, target, { limits }),
  )
  expect([code, message]).toEqual(["network", expect.stringContaining("ECONNREFUSED")])
})

test("a cancelled pause between two tries ends at once", async () => {
  const run = await setup(...Array<Fault>(9).fill(fail(503)))
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 50)
  const started = performance.now()
  const { code } = await refusal(() =>
    run.download({ limits: { ...limits, waitMs: 60_000 }, signal: abort.signal }),
  )
  expect(code).toBe("cancelled")
  expect(performance.now() - started).toBeLessThan(10_000)
})

// ---- the disk

test.runIf(existsSync("/dev/full"))("a full disk is told as one", async () => {
  const run = await setup()
  symlinkSync("/dev/full", `${run.target}.part`)
  const { code, message } = await refusal(() => run.download())
  expect([code, message]).toEqual(["disk-full", expect.stringContaining("no room to write")])
  expect(existsSync(run.target)).toBe(false)
})

test.runIf(process.platform !== "win32")(
  "a folder that may not be written to is a matter of permission",
  async () => {
    const run = await setup()
    chmodSync(run.folder, 0o555)
    const { code } = await refusal(() => unprivileged(() => run.download()))
    expect(code).toBe("permission")
  },
)

// ---- the start of a file

test("the start of a file comes without the rest, from servers with and without ranges", async () => {
  const run = await setup(
    cutAfter(10),
    stallAfter(200),
    instead(() => ({ status: 200, headers: {}, body: content })),
  )
  for (let i = 0; i < 2; i++)
    expect(await downloadStart(run.file, 300, { limits: impatient })).toEqual(content.slice(0, 300))
  expect(await downloadStart(run.file, 20_000, { limits })).toEqual(content)
  expect(ranges(run).every((range) => range === "bytes=0-299" || range === "bytes=0-9999")).toBe(true)
  expect(readdirSync(run.folder)).toEqual([])
})
