// Step 6. Where a run keeps what it must not lose: its recipe, each model's latest checkpoint with the place in its
// stages, what it measured, and a journal. A name appears when what it names is whole. Knows files; never training.

import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../util/errors.ts"
import { writeError, writeText } from "../weights/disk.ts"

/** How far a model is: within stage `index`, or before it where `steps` is 0. */
export interface Place {
  readonly index: number
  readonly steps: number
  readonly tokens: number
  readonly seconds: number
  /** Exports of the student that an on-policy stage has sampled from. */
  readonly rounds: number
}

export const beginning: Place = { index: 0, steps: 0, tokens: 0, seconds: 0, rounds: 0 }

/** One optimiser step, as the journal has it. */
export interface StepRecord {
  readonly unit: string
  readonly step: number
  readonly tokens: number
  readonly seconds: number
  readonly loss: number
  readonly auxiliary: number
  readonly gradientNorm: number
  readonly learningRate: number
}

const journalFile = "journal.jsonl"

export class RunFolder {
  readonly path: string
  /** Files that this process appends to. */
  readonly #appended = new Set<string>()

  private constructor(path: string) {
    this.path = path
  }

  /** A new folder, or one of the same recipe to go on with. */
  static open(path: string, recipe: string): RunFolder {
    const folder = new RunFolder(path)
    const there = folder.read("recipe.json")
    if (there !== undefined && there !== recipe)
      throw new UserError(
        "bad-argument",
        `${path} has a run of another recipe: name another folder, or remove it`,
      )
    if (there === undefined) folder.write("recipe.json", recipe)
    return folder
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names)
  }

  has(...names: readonly string[]): boolean {
    return existsSync(this.at(...names))
  }

  read(name: string): string | undefined {
    return this.has(name) ? readFileSync(this.at(name), "utf8") : undefined
  }

  /** Whole or not at all. */
  write(name: string, text: string): void {
    writeText(this.at(name), text)
  }

  /** A folder that `make` fills; it has its name only once that is done. */
  async writeFolder(name: string, make: (path: string) => Promise<void> | void): Promise<void> {
    const path = this.at(name)
    try {
      rmSync(`${path}.part`, { recursive: true, force: true })
      mkdirSync(`${path}.part`, { recursive: true })
      await make(`${path}.part`)
      rmSync(path, { recursive: true, force: true })
      renameSync(`${path}.part`, path)
    } catch (error) {
      throw error instanceof UserError ? error : writeError(path, error)
    }
  }

  placeOf(trainee: string): Place {
    const text = this.read(join(trainee, "place.json"))
    return text === undefined ? beginning : (JSON.parse(text) as { place: Place }).place
  }

  /** The folder of the checkpoint that belongs to the place. */
  checkpointOf(trainee: string): string | undefined {
    const text = this.read(join(trainee, "place.json"))
    return text && this.at(trainee, (JSON.parse(text) as { checkpoint: string }).checkpoint)
  }

  /** The place counts once the checkpoint is whole; the one before goes after that. */
  async saveCheckpoint(
    trainee: string,
    place: Place,
    save: (path: string) => Promise<void> | void,
  ): Promise<void> {
    const checkpoint = `checkpoint-${place.index}-${place.steps}`
    // The same place is the same state.
    if (this.checkpointOf(trainee) === this.at(trainee, checkpoint)) return
    await this.writeFolder(join(trainee, checkpoint), save)
    this.write(join(trainee, "place.json"), JSON.stringify({ place, checkpoint }))
    for (const name of readdirSync(this.at(trainee)))
      if (name.startsWith("checkpoint-") && name !== checkpoint)
        rmSync(this.at(trainee, name), { recursive: true, force: true })
  }

  record(entry: StepRecord): void {
    this.append(journalFile, JSON.stringify(entry))
  }

  append(name: string, line: string): void {
    try {
      this.#dropCutLine(name)
      appendFileSync(this.at(name), `${line}\n`)
    } catch (error) {
      throw writeError(this.at(name), error)
    }
  }

  /** Every step once: those that a killed run did again count as the second run did them. */
  steps(): StepRecord[] {
    const latest = new Map<string, StepRecord>()
    for (const entry of this.lines<StepRecord>(journalFile)) latest.set(`${entry.unit} ${entry.step}`, entry)
    return [...latest.values()]
  }

  /** The whole lines of a file that was appended to; one that a kill cut off is left out. */
  lines<T>(name: string): T[] {
    const whole = (this.read(name) ?? "").split("\n").slice(0, -1)
    return whole.filter((line) => line !== "").map((line) => JSON.parse(line) as T)
  }

  /** What a kill left of a line would spoil the next one. */
  #dropCutLine(name: string): void {
    if (this.#appended.has(name)) return
    this.#appended.add(name)
    const text = this.read(name) ?? ""
    if (!text.endsWith("\n") && text !== "") this.write(name, text.slice(0, text.lastIndexOf("\n") + 1))
  }
}
