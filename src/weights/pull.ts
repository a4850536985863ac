// A hub's model in, one packed file out: the next file with weights is downloaded while the one before is packed, and
// goes once nothing of it is left to pack. Knows the order of things; never HTTP, headers or blocks.
//
// `<out>.download` holds what is on its way. A killed run goes on where it stopped: downloads by their journals,
// packing by the packer's.

import { createHash } from "node:crypto"
import { mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { UserError } from "../util/errors.ts"
import { readTextIfThere, writeError } from "./disk.ts"
import { downloadFile } from "./download.ts"
import { counted } from "./file.ts"
import { listFiles, parseHubId, type HubFile, type HubOptions } from "./hub.ts"
import { Packer, type PackOptions } from "./pack.ts"
import type { PackProgress } from "./pack-meter.ts"
import { DownloadMeter, type DownloadProgress } from "./pull-meter.ts"
import { openRemote, type RemoteCheckpoint } from "./remote.ts"
import type { Checkpoint } from "./source.ts"
import type { TensorSpec } from "./spec.ts"

/** What will be done, before any weights are downloaded. */
export interface PullPlan {
  phase: "plan"
  /** Files with weights that are still to come, and their sizes. */
  files: { path: string; bytes: number }[]
  downloadBytes: number
  /** Size of the packed file. */
  packedBytes: number
  /** Room that is needed at most at one time, and room there is. */
  neededBytes: number
  freeBytes: number
}

export type PullProgress = PullPlan | DownloadProgress | PackProgress

export interface PullOptions extends HubOptions, Pick<PackOptions, "quant" | "threads" | "signal"> {
  /** What the model asks of a checkpoint with this config; refuses configs of other models. */
  specs: (config: Checkpoint["config"]) => readonly TensorSpec[]
  /** The packed file. */
  out: string
  /** A folder whose tokenizer takes the place of the model's own. */
  tokenizer?: string
  onProgress?: (progress: PullProgress) => void
}

export async function pull(id: string, options: PullOptions): Promise<void> {
  const hubId = parseHubId(id)
  if (hubId === undefined)
    throw new UserError(
      "bad-argument",
      `${id} is no hub id: give one such as Qwen/Qwen3-30B-A3B-Thinking-2507`,
    )
  const folder = `${resolve(options.out)}.download`
  const files = await listFiles(hubId, options)
  const identity = JSON.stringify(files.map(({ path, bytes, checksum }) => [path, bytes, checksum.hex]))
  openFolder(folder, identity)
  const remote = await openRemote(hubId, files, folder, options)
  const specs = options.specs(remote.checkpoint.config)
  await fetchAndPack(remote, specs, { ...options, source: id, identity })
  rmSync(folder, { recursive: true, force: true })
}

/** What is in the folder belongs to these very files, or goes. */
function openFolder(folder: string, identity: string): void {
  const marker = join(folder, "files.sha256")
  const hash = createHash("sha256").update(identity).digest("hex")
  try {
    if (readTextIfThere(marker) !== hash) rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(marker, hash)
  } catch (error) {
    throw error instanceof UserError ? error : writeError(folder, error)
  }
}

interface Work {
  packer: Packer
  /** Files with weights that are still needed, in the order of work. */
  queue: RemoteWeights[]
  options: PullOptions
}

interface RemoteWeights {
  /** Where the checkpoint expects it. */
  path: string
  file: HubFile
}

async function fetchAndPack(
  { checkpoint, weights }: RemoteCheckpoint,
  specs: readonly TensorSpec[],
  options: PullOptions & Pick<PackOptions, "source" | "identity">,
): Promise<void> {
  // Whichever fails stops the other.
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal
  const packer = Packer.open(checkpoint, specs, options.out, { ...options, signal })
  try {
    const needed = [...weights].filter(([path]) => packer.needs(path))
    const queue = needed.map(([path, file]) => ({ path, file })).sort((a, b) => (a.path < b.path ? -1 : 1))
    const work = { packer, queue, options: { ...options, signal } }
    announce(work)
    await runQueue(work, stop)
    packer.finish()
  } finally {
    packer.close()
  }
}

/** Says what will be done, and refuses what would not fit. */
function announce({ packer, queue, options }: Work): void {
  const out = resolve(options.out)
  const { bavail, bsize } = statfsSync(dirname(out))
  const largest = queue.map(({ path, file }) => file.bytes - bytesThere(path, file)).sort((a, b) => b - a)
  const packedLeft = Math.max(0, packer.bytes - allocatedBytes(`${out}.part`))
  const plan: PullPlan = {
    phase: "plan",
    files: queue.map(({ file: { path, bytes } }) => ({ path, bytes })),
    downloadBytes: largest.reduce((sum, bytes) => sum + bytes, 0),
    packedBytes: packer.bytes,
    // One file is packed while the next one comes in.
    neededBytes: packedLeft + largest.slice(0, 2).reduce((sum, bytes) => sum + bytes, 0),
    freeBytes: bavail * bsize,
  }
  options.onProgress?.(plan)
  if (plan.neededBytes > plan.freeBytes)
    throw new UserError(
      "disk-full",
      `pulling to ${out} needs ${counted(plan.neededBytes)} bytes and ${counted(plan.freeBytes)} are free: ` +
        "make room or choose a folder on another disk",
    )
}

/** The next file is downloaded while those before it are packed. */
async function runQueue({ packer, queue, options }: Work, stop: AbortController): Promise<void> {
  const meter = new DownloadMeter(
    queue.map(({ file }) => file),
    (progress) => options.onProgress?.(progress),
  )
  const failures: unknown[] = []
  const fail = (error: unknown) => {
    failures.push(error)
    stop.abort()
  }
  const there: string[] = []
  let packing = Promise.resolve()
  for (const { path, file } of queue) {
    try {
      await downloadFile(file, path, { ...options, onBytes: meter.begin(file.path) })
      meter.end(file.path, file.bytes)
    } catch (error) {
      fail(error)
    }
    await packing
    if (failures.length > 0) break
    there.push(path)
    packing = packer
      .packFrom(there)
      .then(() => dropPacked(packer, there))
      .catch(fail)
  }
  await packing
  // The other one's is only the word that it was stopped.
  if (failures.length > 0) throw failures[0]
}

function dropPacked(packer: Packer, there: string[]): void {
  for (const path of [...there]) {
    if (packer.needs(path)) continue
    rmSync(path, { force: true })
    there.splice(there.indexOf(path), 1)
  }
}

/** Of a file that is whole or on its way. */
function bytesThere(path: string, { bytes }: HubFile): number {
  const stat =
    statSync(path, { throwIfNoEntry: false }) ?? statSync(`${path}.part`, { throwIfNoEntry: false })
  return Math.min(stat?.size ?? 0, bytes)
}

function allocatedBytes(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
}
