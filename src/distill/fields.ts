// A JSON object in, its fields checked out one by one; what is wrong, or not known, is refused by its path in the file.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"

type JsonObject = { readonly [key: string]: Json }

interface Range {
  least: number
  most: number
  /** Where the field is left out; without it the field must be there. */
  otherwise?: number
}

export class Fields {
  readonly #file: string
  readonly #path: string
  readonly #values: JsonObject
  readonly #known = new Set<string>()

  constructor(file: string, path: string, value: Json | undefined) {
    this.#file = file
    this.#path = path
    if (!isObject(value)) throw this.#refusal(path || "the recipe", value, "an object")
    this.#values = value
  }

  has(name: string): boolean {
    this.#known.add(name)
    return this.#values[name] !== undefined
  }

  get names(): readonly string[] {
    return Object.keys(this.#values)
  }

  number(name: string, { least, most, otherwise }: Range): number {
    const value = this.#take(name) ?? otherwise
    if (typeof value === "number" && value >= least && value <= most) return value
    throw this.#refusal(this.#at(name), value, `a number from ${least} to ${most}`)
  }

  whole(name: string, range: Range): number {
    const value = this.number(name, range)
    if (Number.isSafeInteger(value)) return value
    throw this.#refusal(this.#at(name), value, "a whole number")
  }

  text(name: string, otherwise?: string): string {
    const value = this.#take(name) ?? otherwise
    if (typeof value === "string" && value !== "") return value
    throw this.#refusal(this.#at(name), value, "text")
  }

  choice<T extends string>(name: string, choices: readonly T[], otherwise?: T): T {
    const value = this.#take(name) ?? otherwise
    const found = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    throw this.#refusal(this.#at(name), value, choices.map((choice) => `"${choice}"`).join(" or "))
  }

  /** A field that is an object itself. */
  object(name: string): Fields {
    return new Fields(this.#file, this.#at(name), this.#take(name))
  }

  list<T>(name: string, read: (item: Fields) => T): T[] {
    return this.values(name).map((item, i) => read(new Fields(this.#file, `${this.#at(name)}[${i}]`, item)))
  }

  numbers(name: string): number[] {
    return this.values(name).map((item, i) => {
      if (Number.isSafeInteger(item)) return item as number // just checked
      throw this.#refusal(`${this.#at(name)}[${i}]`, item, "a whole number")
    })
  }

  texts<T extends string>(name: string, choices?: readonly T[]): T[] {
    return this.values(name).map((item, i) => {
      if (typeof item === "string" && (choices === undefined || choices.some((choice) => choice === item)))
        return item as T // just checked
      throw this.#refusal(`${this.#at(name)}[${i}]`, item, choices ? choices.join(" or ") : "text")
    })
  }

  values(name: string): readonly Json[] {
    const value = this.#take(name)
    if (Array.isArray(value) && value.length > 0) return value
    throw this.#refusal(this.#at(name), value, "a list that is not empty")
  }

  /** The object as it is, for a reader of its own. */
  raw(name: string): JsonObject {
    const value = this.#take(name)
    if (isObject(value)) return value
    throw this.#refusal(this.#at(name), value, "an object")
  }

  refuse(name: string, wanted: string): UserError {
    return this.#refusal(this.#at(name), this.#values[name], wanted)
  }

  /** Once all is read: a field that nobody asked for is a misspelt one. */
  end(): void {
    const unknown = Object.keys(this.#values).find((name) => !this.#known.has(name))
    if (unknown === undefined) return
    const known = [...this.#known].join(", ")
    throw new UserError(
      "bad-file",
      `${this.#file}: ${this.#at(unknown)} is not known here: there are ${known}`,
    )
  }

  #take(name: string): Json | undefined {
    this.#known.add(name)
    return this.#values[name]
  }

  #at(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`
  }

  #refusal(where: string, value: Json | undefined, wanted: string): UserError {
    const got = value === undefined ? "missing" : JSON.stringify(value)
    return new UserError("bad-file", `${this.#file}: ${where} is ${got}: wanted ${wanted}`)
  }
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
