// Where the commands write: results to stdout, everything else to stderr; colours only on a terminal.

import type { WriteStream } from "node:tty"
import { messageOf, systemCode } from "../util/errors.ts"

/** A stream that may be a terminal. */
export type Output = { write(text: string): unknown } & Partial<
  Pick<WriteStream, "isTTY" | "columns" | "hasColors">
>

/** Swallows everything. */
export const sink: Output = { write: () => true }

const codes = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const
export type Style = keyof typeof codes

/** `hasColors` is a terminal's method; it knows NO_COLOR and TERM=dumb. */
export function paint(style: Style, text: string, stream: Output = process.stdout): string {
  if (!stream.hasColors?.() || text === "") return text
  const [on, off] = codes[style]
  return `\x1b[${on}m${text}\x1b[${off}m`
}

/** A line of a command's result. */
export function print(line = ""): void {
  process.stdout.write(`${line}\n`)
}

/** The whole result for a program, in one line. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** A line that is not part of the result. */
export function note(line: string, stream: Output = process.stderr): void {
  stream.write(`${paint("dim", line, stream)}\n`)
}

interface TableOptions {
  /** The columns' names. */
  head?: readonly string[]
  /** Columns whose cells end together, as numbers should. */
  right?: readonly number[]
}

/** Rows as aligned columns. */
export function table(rows: readonly (readonly string[])[], { head, right = [] }: TableOptions = {}): string {
  const all = head ? [head, ...rows] : rows
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join("  ")
      .trimEnd()
  const lines = all.map(line)
  if (head) lines[0] = paint("bold", lines[0])
  return lines.join("\n")
}

/** A reader that went away, as `head` does, is no failure: nobody is left to tell. A full disk is one. */
export function watchOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error) => {
      if (systemCode(error) === "EPIPE") process.exit(0)
      process.stderr.write(
        `error: the output cannot be written (${messageOf(error)}): make room or write elsewhere\n`,
      )
      process.exit(1)
    })
}
