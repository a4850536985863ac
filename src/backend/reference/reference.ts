// Step 5. The oracle of every other backend: plain TypeScript, float32 values with float64 sums, unquantised
// activations, float32 keys and values. Slow, and meant to be obviously right.

import { assert } from "../../util/errors.ts"
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
  Rope,
  Routing,
  Selections,
  Tensor,
  Weight,
} from "../backend.ts"
import * as check from "../checks.ts"
import * as attention from "./attention.ts"
import * as dense from "./dense.ts"
import * as experts from "./experts.ts"
import { KvPages } from "./kv-pages.ts"
import { runAll } from "./run.ts"
import type { Work } from "./run.ts"
import { DecodedRows, PackedMatrix, Vector } from "./weights.ts"
import type { DecodedMatrix } from "./weights.ts"

export class ReferenceBackend implements Backend {
  readonly name = "reference"
  readonly device = "JavaScript"
  readonly threads = 1
  readonly #decoded = new DecodedRows()
  readonly #weights: DecodedMatrix[] = []
  readonly #caches: KvPages[] = []
  /** By the gate's id. */
  readonly #visits = new Map<number, Float64Array>()
  /** What lives until the next `begin`. Ids are never used twice, so that a stale one is found out. */
  readonly #tensors = new Map<number, dense.Matrix>()
  readonly #routings = new Map<number, experts.Routes>()
  #nextId = 0
  #ops: Work[] = []
  #batch: Batch | undefined

  weight(tensor: PackedTensor): Weight {
    return this.#add(new PackedMatrix(tensor, this.#decoded))
  }

  vector(tensors: readonly PackedTensor[], compute: (...values: Float32Array[]) => Float32Array): Weight {
    const values = tensors.map((tensor) => new PackedMatrix(tensor, this.#decoded).row(0, 0))
    return this.#add(new Vector(compute(...values)))
  }

  #add(matrix: DecodedMatrix): Weight {
    const id = this.#weights.push(matrix) - 1
    return { id, experts: matrix.experts, rows: matrix.rows, columns: matrix.columns }
  }

  kvCache(shape: KvShape): KvCache {
    return { id: this.#caches.push(new KvPages(shape)) - 1, shape }
  }

  trimKv(kv: KvCache, page: number, keep: CodedTier | "nothing"): void {
    this.#pages(kv).trim(page, keep)
  }

  writeKv(kv: KvCache, layer: number, page: number, rows: KvRows, tier: KvTier): void {
    check.checkPage(kv, page, tier)
    check.checkKvRows(kv, layer, rows)
    const pages = this.#pages(kv)
    pages.writePage(page, layer, rows)
    for (let head = 0; head < kv.shape.kvHeads && tier !== 0; head++) pages.encode(page, layer, head, tier)
  }

  readKv(kv: KvCache, layer: number, page: number): KvRows {
    check.checkPage(kv, page)
    const rows = this.#pages(kv).readPage(page, layer)
    check.checkKvRows(kv, layer, rows)
    return rows
  }

  exportPage(kv: KvCache, page: number, tier: KvTier): Uint8Array {
    check.checkPage(kv, page, tier)
    return this.#pages(kv).exportPage(page, tier)
  }

  importPage(kv: KvCache, page: number, tier: KvTier, bytes: Uint8Array): void {
    check.checkPage(kv, page, tier)
    check.checkPageBytes(bytes, kv, tier, 4)
    this.#pages(kv).importPage(page, tier, bytes)
  }

  begin(batch: Batch): void {
    check.checkBatch(batch)
    this.#reset(batch)
  }

  embed(table: Weight): Tensor {
    const batch = this.#step()
    check.checkEmbed(table, batch)
    const out = this.#make(batch.ids.length, table.columns)
    this.#ops.push(dense.embed(this.#matrix(out), this.#weight(table), batch.ids))
    return out
  }

  rmsNorm(x: Tensor, weight: Weight, epsilon: number): Tensor {
    check.checkNorm(x, weight)
    const from = this.#matrix(x)
    const out = this.#make(x.rows, x.columns)
    this.#ops.push(dense.rmsNorm(this.#matrix(out), from, this.#weight(weight), epsilon))
    return out
  }

  linear(x: Tensor, weight: Weight): Tensor {
    const out = this.#make(x.rows, weight.rows)
    this.addLinear(out, x, weight)
    return out
  }

  linears(x: Tensor, weights: readonly Weight[]): Tensor[] {
    return weights.map((weight) => this.linear(x, weight))
  }

  addLinear(y: Tensor, x: Tensor, weight: Weight): void {
    check.checkAddLinear(y, x, weight)
    this.#ops.push(dense.addLinear(this.#matrix(y), this.#matrix(x), this.#weight(weight)))
  }

  normRope(x: Tensor, weight: Weight, rope: Rope, epsilon: number): void {
    const batch = this.#step()
    check.checkNormRope(x, weight, rope, batch)
    this.#ops.push(dense.normRope(this.#matrix(x), this.#weight(weight), rope, epsilon, batch.positions))
  }

  storeKv(kv: KvCache, layer: number, k: Tensor, v: Tensor): void {
    const batch = this.#step()
    check.checkStoreKv(kv, layer, k, v, batch)
    const [keys, values] = [this.#matrix(k), this.#matrix(v)]
    this.#ops.push(attention.storeKv(this.#pages(kv), layer, keys, values, batch.slots, batch.sequences))
  }

  attend(q: Tensor, kv: KvCache, layer: number, reads: Attention = "exact"): Tensor {
    const batch = this.#step()
    check.checkAttend(q, kv, layer, batch)
    const from = this.#matrix(q)
    const out = this.#make(q.rows, q.columns)
    const [sums, pages] = [this.#matrix(out), this.#pages(kv)]
    this.#ops.push(attention.attend(sums, from, pages, layer, batch.sequences, reads))
    return out
  }

  route(x: Tensor, router: Weight, topK: number, normalise: boolean): Routing {
    check.checkRoute(x, router, topK)
    const numRoutes = x.rows * topK
    const routes = { topK, experts: new Int32Array(numRoutes), weights: new Float64Array(numRoutes) }
    const id = this.#nextId++
    this.#routings.set(id, routes)
    this.#ops.push(experts.route(routes, this.#matrix(x), this.#weight(router), normalise))
    return { id, rows: x.rows, topK }
  }

  addExperts(y: Tensor, x: Tensor, routing: Routing, { gate, up, down }: Experts): void {
    check.checkExperts(y, x, routing, { gate, up, down })
    const routes = this.#routings.get(routing.id)
    assert(routes, `routing ${routing.id} is of an earlier step`)
    const matrices = { gate: this.#weight(gate), up: this.#weight(up), down: this.#weight(down) }
    const [to, from, counts] = [this.#matrix(y), this.#matrix(x), this.#visitsOf(gate)]
    this.#ops.push(experts.addExperts(to, from, routes, matrices, counts))
  }

  visits(gate: Weight): Float64Array {
    return this.#visitsOf(gate).slice()
  }

  selections(kv: KvCache): Selections {
    return { ...this.#pages(kv).selections }
  }

  #visitsOf({ id, experts }: Weight): Float64Array {
    const counts = this.#visits.get(id) ?? new Float64Array(experts)
    this.#visits.set(id, counts)
    return counts
  }

  pickRows(x: Tensor): Tensor {
    const batch = this.#step()
    check.checkPickRows(x, batch)
    const from = this.#matrix(x)
    const out = this.#make(batch.logitRows.length, x.columns)
    this.#ops.push(dense.pickRows(this.#matrix(out), from, batch.logitRows))
    return out
  }

  largest(x: Tensor, size: number, k: number): Tensor {
    check.checkLargest(x, size, k)
    const from = this.#matrix(x)
    const out = this.#make(x.rows, 2 * k)
    this.#ops.push(dense.largest(this.#matrix(out), from, size))
    return out
  }

  async submit(signal?: AbortSignal): Promise<void> {
    await runAll(this.#ops.splice(0), signal)
  }

  read(x: Tensor, out = new Float32Array(x.rows * x.columns)): Float32Array {
    assert(this.#ops.length === 0, "a tensor is read before submit")
    out.set(this.#matrix(x).values)
    return out
  }

  tensor(values: Float32Array, rows: number, columns: number): Tensor {
    this.#step()
    assert(values.length === rows * columns, `${values.length} values for ${rows} x ${columns}`)
    const x = this.#make(rows, columns)
    this.#matrix(x).values.set(values)
    return x
  }

  free(): void {
    this.#reset()
    this.#weights.length = 0
    this.#caches.length = 0
  }

  #reset(batch?: Batch): void {
    this.#batch = batch
    this.#ops = []
    this.#tensors.clear()
    this.#routings.clear()
  }

  #step(): Batch {
    assert(this.#batch, "an op before begin")
    return this.#batch
  }

  #make(rows: number, columns: number): Tensor {
    const id = this.#nextId++
    this.#tensors.set(id, { rows, columns, values: new Float32Array(rows * columns) })
    return { id, rows, columns }
  }

  #matrix(x: Tensor): dense.Matrix {
    const matrix = this.#tensors.get(x.id)
    assert(matrix, `tensor ${x.id} is of an earlier step`)
    return matrix
  }

  #weight(weight: Weight): DecodedMatrix {
    const matrix = this.#weights[weight.id]
    assert(matrix, `no weight ${weight.id}`)
    return matrix
  }

  #pages(kv: KvCache): KvPages {
    const pages = this.#caches[kv.id]
    assert(pages, `no KV cache ${kv.id}`)
    return pages
  }
}
