// Numbers in, SVG out, as text that stands inside an HTML page: lines, intervals and heat maps. Colours are the page's
// variables, so that a chart reads in light and dark.

export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Interval {
  readonly name: string
  readonly value: number
  readonly low: number
  readonly high: number
  /** What is written beside it. */
  readonly label: string
  /** Number of its colour. */
  readonly series: number
}

/** What is written at a chart's axes. */
export interface Axes {
  readonly x: string
  readonly y: string
  /** By tenfold steps, where values span several; linear without. */
  readonly scale?: "log"
}

/** Of lines; more lines begin again with the first. */
export const numColours = 8

const width = 720
const height = 260
const margin = { left: 56, right: 12, top: 12, bottom: 34 }
/** Points of a line: more are not seen. */
const mostPoints = 400

export function lineChart(lines: readonly Line[], axes: Axes): string {
  const drawing = lineDrawing(lines, axes)
  return drawing === "" ? "" : drawing + legend(lines.map(({ name }) => name))
}

/** Without the legend: one element, which also stands within another drawing. */
export function lineDrawing(lines: readonly Line[], axes: Axes): string {
  const isShown = (y: number) => Number.isFinite(y) && (axes.scale !== "log" || y > 0)
  const points = lines.flatMap((line) => line.points).filter(([, y]) => isShown(y))
  if (points.length === 0) return ""
  const xMost = points.reduce((most, [x]) => Math.max(most, x), 0) || 1
  const { share, marks } = axes.scale === "log" ? logScale(points) : linearScale(points)
  const plotWidth = width - margin.left - margin.right
  const plotHeight = height - margin.top - margin.bottom
  const xAt = (x: number) => margin.left + (plotWidth * x) / xMost
  const yAt = (y: number) => margin.top + plotHeight * (1 - share(y))
  const grid = marks.map((y) => {
    const at = yAt(y).toFixed(1)
    const rule = `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}"/>`
    return `${rule}<text x="${margin.left - 6}" y="${at}" dy="4" text-anchor="end">${short(y)}</text>`
  })
  const below = ticks(xMost).map(
    (x) => `<text x="${xAt(x).toFixed(1)}" y="${height - 18}" text-anchor="middle">${short(x)}</text>`,
  )
  const drawn = lines.map(({ points }, i) => {
    const path = thinned(points.filter(([, y]) => isShown(y))).map(
      ([x, y]) => `${xAt(x).toFixed(1)},${yAt(y).toFixed(1)}`,
    )
    return `<polyline class="s${i % numColours}" points="${path.join(" ")}"/>`
  })
  const names = [
    `<text x="${width / 2}" y="${height - 3}" text-anchor="middle">${escapeText(axes.x)}</text>`,
    `<text x="12" y="${height / 2}" text-anchor="middle" transform="rotate(-90 12 ${height / 2})">${escapeText(axes.y)}</text>`,
  ]
  return svg(height, [...grid, ...below, ...drawn, ...names])
}

interface Scale {
  /** How far up a value stands, from 0 to 1. */
  share(y: number): number
  readonly marks: readonly number[]
}

function linearScale(points: Line["points"]): Scale {
  const most = points.reduce((largest, [, y]) => Math.max(largest, y), 0) || 1
  return { share: (y) => y / most, marks: ticks(most) }
}

/** From the power of ten below the smallest value to that above the largest one. */
function logScale(points: Line["points"]): Scale {
  const logs = points.map(([, y]) => Math.log10(y))
  const least = Math.floor(logs.reduce((a, b) => Math.min(a, b)))
  const most = Math.max(least + 1, Math.ceil(logs.reduce((a, b) => Math.max(a, b))))
  return {
    share: (y) => (Math.log10(y) - least) / (most - least),
    marks: Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i)),
  }
}

/** Shares from 0 to 1 with what is known of them. */
export function intervalChart(intervals: readonly Interval[], series: readonly string[]): string {
  const [row, right, letter] = [22, 150, 7]
  const left = Math.min(width / 2, 16 + letter * Math.max(0, ...intervals.map(({ name }) => name.length)))
  const xAt = (share: number) => left + (width - left - right) * share
  const bottom = intervals.length * row + 4
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const x = xAt(share).toFixed(1)
    const rule = `<line class="grid" x1="${x}" x2="${x}" y1="0" y2="${bottom}"/>`
    return `${rule}<text x="${x}" y="${bottom + 14}" text-anchor="middle">${100 * share} %</text>`
  })
  const drawn = intervals.map(({ name, value, low, high, label, series }, i) => {
    const y = i * row + row / 2
    return [
      `<text x="${left - 8}" y="${y}" dy="4" text-anchor="end">${escapeText(name)}</text>`,
      `<line class="s${series}" x1="${xAt(low).toFixed(1)}" x2="${xAt(high).toFixed(1)}" y1="${y}" y2="${y}"/>`,
      `<circle class="f${series}" cx="${xAt(value).toFixed(1)}" cy="${y}" r="4"/>`,
      `<text x="${width - right + 8}" y="${y}" dy="4">${escapeText(label)}</text>`,
    ].join("")
  })
  return svg(bottom + 20, [...grid, ...drawn]) + legend(series)
}

/** Rows of cells, the darker the larger. */
export interface HeatMap {
  readonly rows: readonly { readonly name: string; readonly cells: readonly number[] }[]
  /** What is written on a cell when one points at it. */
  readonly title: (row: number, column: number) => string
  /** What is darkest, if no cell is larger. */
  readonly most: number
}

export function heatMap({ rows, title, most: least }: HeatMap): string {
  const columns = Math.max(...rows.map(({ cells }) => cells.length))
  const left = 84
  const wide = Math.min(48, (width - left) / columns)
  const tall = Math.max(16, wide) // a row's name needs as much
  const most = Math.max(least, ...rows.flatMap(({ cells }) => cells))
  const parts = rows.flatMap(({ name, cells }, row) => [
    `<text x="${left - 8}" y="${row * tall + tall / 2}" dy="4" text-anchor="end">${escapeText(name)}</text>`,
    ...cells.map((value, column) => {
      const place = `x="${(left + column * wide).toFixed(1)}" y="${(row * tall).toFixed(1)}"`
      const size = `width="${(wide - 1).toFixed(1)}" height="${(tall - 1).toFixed(1)}"`
      const opacity = (0.05 + (0.95 * value) / most).toFixed(3)
      const told = `<title>${escapeText(title(row, column))}</title>`
      return `<rect class="f0" ${place} ${size} opacity="${opacity}">${told}</rect>`
    }),
  ])
  return svg(rows.length * tall, parts)
}

export function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;")
}

function svg(tall: number, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${Math.ceil(tall)}" role="img">${parts.join("")}</svg>`
}

function legend(names: readonly string[]): string {
  const keys = names.map((name, i) => `<span><i class="k${i % numColours}"></i>${escapeText(name)}</span>`)
  return `<p class="legend">${keys.join(" ")}</p>`
}

/** Means of equal stretches, where there are more points than can be seen. */
function thinned(points: Line["points"]): Line["points"] {
  const stretch = Math.ceil(points.length / mostPoints)
  return Array.from({ length: Math.ceil(points.length / stretch) }, (_, i) => {
    const part = points.slice(i * stretch, (i + 1) * stretch)
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length
    return [mean(0), mean(1)] as const
  })
}

/** Round numbers from 0 up to the largest, about five of them. */
function ticks(most: number): number[] {
  const rough = most / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step)
}

function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}
