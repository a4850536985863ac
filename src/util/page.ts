// Tables and charts in, one HTML page out that needs nothing else, or the tables as plain text.

import { escapeText, numColours } from "./charts.ts"

export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function tableText({ title, head, rows }: Table): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd()
  return [title, line(head), ...rows.map(line)].join("\n")
}

export function tableHtml({ title, head, rows }: Table): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}>${escapeText(cell)}</${tag}>`).join("")
  const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n")
  return titled(title, `<div class="wide"><table><tr>${cells(head, "th")}</tr>\n${body}</table></div>`)
}

export function titled(title: string, content: string): string {
  return content === "" ? "" : `<section><h2>${escapeText(title)}</h2>${content}</section>`
}

/** The sections are HTML already. */
export function htmlPage(title: string, sections: readonly string[]): string {
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeText(title)}</title>`,
    `<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>`,
    `<h1>${escapeText(title)}</h1>`,
    ...sections,
    "</body></html>\n",
  ].join("\n")
}

const style = `
:root { --ink: #1c2430; --dim: #67707d; --paper: #fff; --rule: #d9dee5;
  --c0: #2563eb; --c1: #d97706; --c2: #059669; --c3: #b4234b; --c4: #7c3aed; --c5: #0e7490;
  --c6: #57534e; --c7: #84cc16 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #98a2b0; --paper: #12161c; --rule: #2c343f;
  --c0: #7aa2ff; --c1: #f5b04d; --c2: #4ecb9b; --c3: #f2799b; --c4: #b79bff; --c5: #5cc6dd;
  --c6: #b5b0aa; --c7: #bef264 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--dim) }
.grid { stroke: var(--rule) } polyline { fill: none; stroke-width: 1.5 } line { stroke-width: 2 } .grid { stroke-width: 1 }
pre { overflow-x: auto; border: 1px solid var(--rule); padding: 0.8rem }
.legend { color: var(--dim) } .legend span { margin-right: 1.2rem } .legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em }
${Array.from({ length: numColours }, (_, i) => `.s${i} { stroke: var(--c${i}) } .f${i} { fill: var(--c${i}) } .k${i} { background: var(--c${i}) }`).join("\n")}
`
