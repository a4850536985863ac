// What a measurement leaves behind: one row of results/<name>.csv, and the name of the machine it ran on.

import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { join } from "node:path"

export type Row = Readonly<Record<string, string | number>>

/** The file's path. Its first row decides the columns. */
export function appendRow(name: string, row: Row): string {
  const folder = join(import.meta.dirname, "results")
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${name}.csv`)
  if (!existsSync(file)) writeFileSync(file, `${Object.keys(row).join(",")}\n`)
  appendFileSync(file, `${Object.values(row).join(",")}\n`)
  return file
}

export function machineName(): string {
  const model = cpus()[0]?.model.replace(/\W+/g, "-").toLowerCase() ?? "unknown"
  return `${model}-${availableParallelism()}-threads`.replace(/^-+/, "")
}

export const today = () => new Date().toISOString().slice(0, 10)

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
