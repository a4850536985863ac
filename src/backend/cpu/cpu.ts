// Step 5. The native backend: ops are recorded as numbers, `submit` hands them to the addon's own threads in one
// call. Weights are mapped, never copied; the event loop is never blocked.

import { availableParallelism } from "node:os"
import { UserError, assert, messageOf } from "../../util/errors.ts"
import type { PackedTensor } from "../../weights/format.ts"
import type {
  Attention,
  Backend,
  Batch,
  CodedTier,
  Experts,
  KvCache,
  KvRows,
  KvShape,
  KvTier,
  PrefillMode,
  Promote,
  Rope,
  Routing,
  Selections,
  Tensor,
  Weight,
} from "../backend.ts"
import * as check from "../checks.ts"
import { KvCaches } from "./kv.ts"
import { loadAddon, roofs, type Addon, type NativeEngine, type Roof } from "./native.ts"
import { Plan, bitsOf, opNames } from "./plan.ts"
import type { OpName } from "./plan.ts"
import { Weights } from "./weights.ts"
import type { Promotion } from "./weights.ts"

export interface CpuOptions {
  /** All cores where left out. */
  threads?: number
  /** Forces one instruction set; the environment variable A3B_ISA does the same. The best one where left out. */
  isa?: string
  /** `exact` where left out. */
  prefillMode?: PrefillMode
  /** `off` where left out. */
  promote?: Promote
}

/** Most outputs of one linear op. */
const maxOutputs = 4
const maxTopK = 64
const maxGroup = 16

/** Loads the addon and starts its threads; throws `unsupported` where there is no addon or no such instruction set. */
export function loadCpuBackend(options: CpuOptions = {}): CpuBackend {
  const threads = options.threads ?? availableParallelism()
  if (!Number.isInteger(threads) || threads < 1 || threads > 512)
    throw new UserError("bad-argument", `threads is ${threads}; it must be a whole number from 1 to 512`)
  const addon = loadAddon()
  const { prefillMode = "exact", promote = "off" } = options
  const isa = options.isa ?? process.env.A3B_ISA ?? ""
  try {
    return new CpuBackend(addon, addon.create(threads, isa, prefillMode), { threads, promote })
  } catch (error) {
    throw new UserError("unsupported", `${messageOf(error)}: leave A3B_ISA unset for the best one`)
  }
}

/** The instruction sets that this CPU has kernels for, best first. */
export function instructionSets(): string[] {
  return loadAddon().sets().split(" ")
}

export class CpuBackend implements Backend {
  readonly name = "cpu"
  readonly device: string
  readonly threads: number
  #addon: Addon
  #engine: NativeEngine
  #weights: Weights
  #caches: KvCaches
  #ropes = new WeakMap<Rope, number>()
  #plan = new Plan()
  #batch: Batch | undefined
  #inputs: { tensor: Tensor; values: Float32Array }[] = []
  #overwritten: ReadonlySet<number> = new Set()
  #freed = false

  /** Use `loadCpuBackend`. */
  constructor(addon: Addon, engine: NativeEngine, options: { threads: number; promote: Promote }) {
    this.#addon = addon
    this.#engine = engine
    this.threads = options.threads
    this.device = addon.isa(engine)
    this.#weights = new Weights(addon, engine, options.promote)
    this.#caches = new KvCaches(addon, engine)
  }

  weight(tensor: PackedTensor): Weight {
    return this.#weights.map(tensor)
  }

  vector(tensors: readonly PackedTensor[], compute: (...values: Float32Array[]) => Float32Array): Weight {
    return this.#weights.vector(tensors, compute)
  }

  promotion(): Promotion {
    return this.#weights.promotion()
  }

  kvCache(shape: KvShape): KvCache {
    return this.#caches.create(shape)
  }

  trimKv(kv: KvCache, page: number, keep: CodedTier | "nothing"): void {
    this.#caches.trim(kv, page, keep)
  }

  writeKv(kv: KvCache, layer: number, page: number, rows: KvRows, tier: KvTier): void {
    this.#caches.write(kv, layer, page, rows, tier)
  }

  readKv(kv: KvCache, layer: number, page: number): KvRows {
    return this.#caches.read(kv, layer, page)
  }

  exportPage(kv: KvCache, page: number, tier: KvTier): Uint8Array {
    return this.#caches.export(kv, page, tier)
  }

  importPage(kv: KvCache, page: number, tier: KvTier, bytes: Uint8Array): void {
    this.#caches.import(kv, page, tier, bytes)
  }

  begin(batch: Batch): void {
    check.checkBatch(batch)
    this.#plan = new Plan()
    this.#batch = batch
    this.#inputs = []
  }

  tensor(values: Float32Array, rows: number, columns: number): Tensor {
    assert(values.length === rows * columns, `${values.length} values for ${rows} x ${columns}`)
    const tensor = this.#plan.tensor(rows, columns)
    this.#inputs.push({ tensor, values })
    return tensor
  }

  #recorded(): Batch {
    assert(this.#batch, "an op before begin")
    return this.#batch
  }

  #make(op: OpName, rows: number, columns: number, reads: readonly Tensor[], ...words: number[]): Tensor {
    this.#owned(op, reads)
    const out = this.#plan.tensor(rows, columns)
    this.#plan.record(op, { makes: [out], reads }, out.id, ...words)
    return out
  }

  #change(op: OpName, y: Tensor, reads: readonly Tensor[], ...words: number[]): void {
    this.#owned(op, [y, ...reads])
    this.#plan.record(op, { changes: [y], reads }, ...words)
  }

  #owned(op: OpName, tensors: readonly Tensor[]): void {
    for (const tensor of tensors) assert(this.#plan.owns(tensor), `${op} uses a tensor of an earlier step`)
  }

  embed(table: Weight): Tensor {
    const batch = this.#recorded()
    check.checkEmbed(table, batch)
    return this.#make("embed", batch.ids.length, table.columns, [], table.id)
  }

  rmsNorm(x: Tensor, weight: Weight, epsilon: number): Tensor {
    check.checkNorm(x, weight)
    this.#weights.checkVector(weight)
    return this.#make("rmsNorm", x.rows, x.columns, [x], x.id, weight.id, bitsOf(epsilon))
  }

  linear(x: Tensor, weight: Weight): Tensor {
    return this.linears(x, [weight])[0]
  }

  linears(x: Tensor, weights: readonly Weight[]): Tensor[] {
    assert(weights.length > 0 && weights.length <= maxOutputs, `${weights.length} weights in one linear op`)
    this.#owned("linear", [x])
    const outs = weights.map((weight) => {
      check.checkInput(x, weight)
      return this.#plan.tensor(x.rows, weight.rows)
    })
    const pairs = outs.flatMap((out, i) => [out.id, weights[i].id])
    this.#plan.record("linear", { makes: outs, reads: [x] }, x.id, 0, outs.length, ...pairs)
    return outs
  }

  addLinear(y: Tensor, x: Tensor, weight: Weight): void {
    check.checkAddLinear(y, x, weight)
    this.#change("linear", y, [x], x.id, 1, 1, y.id, weight.id)
  }

  normRope(x: Tensor, weight: Weight, rope: Rope, epsilon: number): void {
    check.checkNormRope(x, weight, rope, this.#recorded())
    this.#weights.checkVector(weight)
    let id = this.#ropes.get(rope)
    if (id === undefined) {
      id = this.#addon.rope(this.#engine, rope.frequencies, rope.scale)
      this.#ropes.set(rope, id)
    }
    this.#change("normRope", x, [], x.id, weight.id, id, bitsOf(epsilon))
  }

  storeKv(kv: KvCache, layer: number, k: Tensor, v: Tensor): void {
    check.checkStoreKv(kv, layer, k, v, this.#recorded())
    this.#owned("storeKv", [k, v])
    this.#plan.record("storeKv", { reads: [k, v] }, kv.id, layer, k.id, v.id)
  }

  attend(q: Tensor, kv: KvCache, layer: number, attention: Attention = "exact"): Tensor {
    check.checkAttend(q, kv, layer, this.#recorded())
    const group = q.columns / (kv.shape.kvHeads * kv.shape.headDim)
    assert(group <= maxGroup, `${group} query heads a key head; at most ${maxGroup}`)
    const words = [q.id, kv.id, layer, attention === "selective" ? 1 : 0]
    return this.#make("attend", q.rows, q.columns, [q], ...words)
  }

  route(x: Tensor, router: Weight, topK: number, normalise: boolean): Routing {
    check.checkRoute(x, router, topK)
    assert(topK <= maxTopK, `top ${topK}; at most ${maxTopK}`)
    const out = this.#make("route", x.rows, 2 * topK, [x], x.id, router.id, topK, normalise ? 1 : 0)
    return { id: out.id, rows: x.rows, topK }
  }

  addExperts(y: Tensor, x: Tensor, routing: Routing, experts: Experts): void {
    check.checkExperts(y, x, routing, experts)
    const { gate, up, down } = experts
    this.#change("addExperts", y, [x], y.id, x.id, routing.id, routing.topK, gate.id, up.id, down.id)
  }

  visits(gate: Weight): Float64Array {
    const counts = new Float64Array(gate.experts)
    this.#addon.visits(this.#engine, gate.id, counts)
    return counts
  }

  selections(kv: KvCache): Selections {
    return this.#caches.selections(kv)
  }

  pickRows(x: Tensor): Tensor {
    check.checkPickRows(x, this.#recorded())
    return this.#make("pickRows", this.#recorded().logitRows.length, x.columns, [x], x.id)
  }

  largest(x: Tensor, size: number, k: number): Tensor {
    check.checkLargest(x, size, k)
    return this.#make("largest", x.rows, 2 * k, [x], x.id, size, k)
  }

  async submit(signal?: AbortSignal): Promise<void> {
    const batch = this.#recorded()
    if (signal?.aborted) throw new UserError("cancelled", "the step was cancelled")
    const { arrays, overwritten } = this.#plan.step(batch)
    if (!this.#addon.prepare(this.#engine, ...arrays))
      throw new UserError(
        "out-of-memory",
        `no memory for a step of ${batch.ids.length} tokens: use a smaller batch`,
      )
    for (const { tensor, values } of this.#inputs) this.#addon.copy(this.#engine, tensor.id, values, 0)
    this.#overwritten = overwritten
    const cancel = () => this.#addon.cancel(this.#engine)
    signal?.addEventListener("abort", cancel, { once: true })
    try {
      const completed = await this.#addon.run(this.#engine)
      if (!completed) throw new UserError("cancelled", "the step was cancelled")
    } finally {
      signal?.removeEventListener("abort", cancel)
    }
  }

  read(x: Tensor, out = new Float32Array(x.rows * x.columns)): Float32Array {
    assert(this.#plan.owns(x), "read of a tensor of an earlier step")
    assert(!this.#overwritten.has(x.id), "read of a tensor whose memory a later one took")
    this.#addon.copy(this.#engine, x.id, out, 1)
    return out
  }

  /** The roofline, measured now: what all threads together do in a second at the most. */
  roof(of: Roof): Promise<number> {
    return this.#addon.roof(this.#engine, roofs.indexOf(of))
  }

  /** Seconds spent in each op since the last call. */
  timings(): Record<OpName, number> {
    const seconds = this.#addon.timings(this.#engine)
    return Object.fromEntries(opNames.map((name, i) => [name, seconds[i]])) as Record<OpName, number>
  }

  free(): void {
    if (this.#freed) return
    this.#addon.free(this.#engine)
    this.#freed = true
  }
}
