// Between steps 1 and 2. Keeps the one model that is served: opens it when it is needed, lends it out, and frees it
// once nobody has used it for a while. A model that could not be opened is tried again at the next request.

import type { ServedModel } from "./served-model.ts"

export interface HostOptions {
  open: () => Promise<ServedModel>
  /** The model is freed after so long without a request; never where left out. */
  idleMs?: number
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

  constructor(options: HostOptions) {
    this.#options = options
  }

  /** The open model, for looking at; `lease` opens it. */
  get model(): ServedModel | undefined {
    return this.#model
  }

  get state(): "unloaded" | "loading" | "ready" {
    if (this.#model) return "ready"
    return this.#opening ? "loading" : "unloaded"
  }

  async lease(): Promise<Lease> {
    clearTimeout(this.#idle)
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
