// Between steps 1 and 2. Keeps the one model that is served: opens it when it is needed, lends it out, and frees it
// once nobody has used it for a while. A model that could not be opened is tried again at the next request, and one that
// failed is opened anew for it.

import type { ServedModel } from "./served-model.ts"

export interface HostOptions {
  open: () => Promise<ServedModel>
  /** The model is freed after so long without a request; never where left out. */
  idleMs?: number
  /** Told that a model which can no longer be trusted is let go, to be opened anew. */
  onRestart?: () => void
}

export interface Lease {
  readonly model: ServedModel
  /** Gives it back; more than once is harmless. */
  release(): void
}

export class ModelHost {
  readonly #options: HostOptions
  #model: ServedModel | undefined
  #opening: Promise<ServedModel> | undefined
  #freeing: Promise<void> | undefined
  #numLeases = 0
  #idle: NodeJS.Timeout | undefined
  #numRestarts = 0

  constructor(options: HostOptions) {
    this.#options = options
  }

  /** The open model, for looking at; `lease` opens it. */
  get model(): ServedModel | undefined {
    return this.state === "ready" ? this.#model : undefined
  }

  get state(): "unloaded" | "loading" | "ready" | "failed" {
    if (this.#model) return this.#model.health === "broken" ? "failed" : "ready"
    return this.#opening ? "loading" : "unloaded"
  }

  /** How often a model that failed was let go. */
  get numRestarts(): number {
    return this.#numRestarts
  }

  async lease(): Promise<Lease> {
    clearTimeout(this.#idle)
    this.#retire()
    this.#numLeases++
    let state: "held" | "released" = "held"
    const release = () => {
      if (state === "held") this.#giveBack()
      state = "released"
    }
    try {
      return { model: this.#model ?? (await this.#open()), release }
    } catch (error) {
      release()
      throw error
    }
  }

  /** Frees the model; whoever still has it gets its cancellation. */
  async free(): Promise<void> {
    clearTimeout(this.#idle)
    await this.#opening?.catch(() => undefined) // told to those who waited for it
    this.#unload()
    await this.#freeing
  }

  #open(): Promise<ServedModel> {
    this.#opening ??= this.#load().finally(() => (this.#opening = undefined))
    return this.#opening
  }

  async #load(): Promise<ServedModel> {
    // Two at once would not fit in memory.
    await this.#freeing
    return (this.#model = await this.#options.open())
  }

  /** A broken model has ended whatever it did; one that is suspect goes on for those who have it. */
  #retire(): void {
    const health = this.#model?.health
    if (health !== "broken" && (health !== "suspect" || this.#numLeases > 0)) return
    this.#numRestarts++
    this.#options.onRestart?.()
    this.#unload()
  }

  #giveBack(): void {
    const { idleMs } = this.#options
    if (--this.#numLeases > 0 || idleMs === undefined) return
    this.#idle = setTimeout(() => this.#unload(), idleMs).unref()
  }

  #unload(): void {
    const model = this.#model
    if (!model) return
    this.#model = undefined
    this.#freeing = model.free()
  }
}
