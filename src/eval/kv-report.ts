// Step 6. What tiers lose, as tables and pictures: divergence by tier and depth, needles by length and depth. Knows
// numbers and words; never models.

import { heatMap, lineChart } from "../util/charts.ts"
import { htmlPage, tableHtml, tableText, titled } from "../util/page.ts"
import type { Table } from "../util/page.ts"
import type { Answer, Divergence, Fidelity, TierOutcome } from "./kv-fidelity.ts"

export interface TierSummary {
  readonly tier: TierOutcome["tier"]
  readonly positions: number
  readonly medianKl: number
  readonly kl999: number
  /** Share of positions whose likeliest token is that of 16 bits. */
  readonly sameTop: number
  readonly answers: number
  readonly right: number
  /** Replies that are those of 16 bits to the last token. */
  readonly sameReplies: number
}

export function summaryOf({ tier, divergences, answers }: TierOutcome): TierSummary {
  const kls = divergences.map(({ kl }) => kl)
  return {
    tier,
    positions: divergences.length,
    medianKl: quantile(kls, 0.5),
    kl999: quantile(kls, 0.999),
    sameTop: share(divergences, ({ top }) => top === "same"),
    answers: answers.length,
    right: answers.filter(({ outcome }) => outcome === "right").length,
    sameReplies: answers.filter(({ divergesAt }) => divergesAt === -1).length,
  }
}

export function fidelityTables({ tiers, stretchTokens }: Fidelity): Table[] {
  const coded = tiers.filter(({ tier }) => tier !== "T0")
  const kinds = kindsOf(tiers)
  return [
    {
      title: "Logits against 16 bits",
      head: ["tier", "positions", "median KL", "KL at 99.9 %", "same likeliest token"],
      rows: coded
        .map(summaryOf)
        .map(({ tier, positions, medianKl, kl999, sameTop }) => [
          tier,
          String(positions),
          medianKl.toExponential(1),
          kl999.toExponential(1),
          percent(sameTop),
        ]),
    },
    {
      title: "Median KL by position",
      head: ["tier", ...binsOf(coded).map(({ from, to }) => `${from} to ${to}`)],
      rows: coded.map((outcome) => [
        outcome.tier,
        ...binsOf(coded).map((bin) => medianIn(outcome.divergences, bin).toExponential(1)),
      ]),
    },
    {
      title: "Answers",
      head: ["tier", ...kinds, "replies like those of 16 bits"],
      rows: tiers.map((outcome) => [
        outcome.tier,
        ...kinds.map((kind) => rightOf(outcome.answers.filter((answer) => answer.kind === kind))),
        `${summaryOf(outcome).sameReplies} of ${outcome.answers.length}`,
      ]),
    },
    ...(stretchTokens === undefined ? [] : [byLength(tiers)]),
  ].filter(({ rows, head }) => rows.length > 0 && head.length > 1)
}

function byLength(tiers: Fidelity["tiers"]): Table {
  const lengths = lengthsOf(tiers[0].answers)
  const places = kindsOf(tiers).flatMap((kind) => lengths.map((length) => ({ kind, length })))
  const isAt = (answer: Answer, { kind, length }: (typeof places)[number]) =>
    answer.kind === kind && rounded(answer.length) === length
  return {
    title: "Answers by length",
    head: ["tier", ...places.map(({ kind, length }) => `${kind}, ${length}`)],
    rows: tiers.map(({ tier, answers }) => [
      tier,
      ...places.map((place) => rightOf(answers.filter((answer) => isAt(answer, place)))),
    ]),
  }
}

export function fidelityText(fidelity: Fidelity): string {
  const tables = fidelityTables(fidelity).map(tableText)
  return [...howInjected(fidelity), ...tables, ...howChosen(fidelity)].join("\n\n")
}

/** What came of tokens that chose what they read; nothing where none did. */
function howChosen({ selections }: Fidelity): string[] {
  if (!selections || selections.scanned === 0) return []
  const { scanned, fellBack, kept, tokens } = selections
  const chosen = scanned - fellBack
  const all = `Of ${scanned} choices of blocks to read, ${fellBack} would have kept too little: everything was read.`
  if (chosen === 0) return [all]
  return [`${all} The others kept ${percent(kept / chosen)} in ${Math.round(tokens / chosen)} tokens.`]
}

export function fidelityHtml(model: string, fidelity: Fidelity): string {
  const coded = fidelity.tiers.filter(({ tier }) => tier !== "T0")
  const kinds = kindsOf(fidelity.tiers)
  const lines = coded.map(({ tier, divergences }) => ({
    name: tier,
    points: binsOf(coded).map((bin) => [bin.to, medianIn(divergences, bin)] as const),
  }))
  return htmlPage(`${model}: keys and values in fewer bits`, [
    `<p>Beyond the last ${fidelity.window} tokens, and the first page, which stay in 16 bits.</p>`,
    ...[...howInjected(fidelity), ...howChosen(fidelity)].map((text) => `<p>${text}</p>`),
    ...fidelityTables(fidelity).map(tableHtml),
    titled("Median KL by position", lineChart(lines, { x: "position", y: "KL in nats", scale: "log" })),
    ...fidelity.tiers.flatMap(({ tier, answers }) =>
      kinds.map((kind) =>
        titled(
          kinds.length > 1 ? `${kind} found at ${tier}` : `Needles found at ${tier}`,
          needleMap(answers.filter((answer) => answer.kind === kind)),
        ),
      ),
    ),
  ])
}

function howInjected({ stretchTokens, window }: Fidelity): string[] {
  if (stretchTokens === undefined) return []
  return [
    "In all cells keys and values were injected, none comes from an ordinary prefill of the text: " +
      `they were computed in stretches of ${stretchTokens} tokens, each of which sees the 128 before it, and written ` +
      "into the cache. T1 to T3 are on balanced norms; 4-bit groups of 32 (q4_0), plain and after a Hadamard rotation, " +
      `on norms as stored, quantised and put back in 16 bits. The first page and the last ${window} tokens are in 16 ` +
      "bits for all.",
  ]
}

function kindsOf(tiers: Fidelity["tiers"]): string[] {
  return [...new Set(tiers[0].answers.map(({ kind }) => kind))]
}

/** Texts that are meant to be of one length differ by a few tokens. */
function lengthsOf(answers: readonly Answer[]): number[] {
  return [...new Set(answers.map(({ length }) => rounded(length)))].sort((a, b) => a - b)
}

/** Lengths downwards, depths from left to right. */
function needleMap(answers: readonly Answer[]): string {
  const needles = answers.filter(({ depth }) => depth !== undefined)
  if (needles.length === 0) return ""
  const lengths = lengthsOf(needles)
  const depths = [...new Set(needles.map(({ depth = 0 }) => depth))].sort((a, b) => a - b)
  const cell = (length: number, depth: number) =>
    needles.filter((needle) => rounded(needle.length) === length && needle.depth === depth)
  return heatMap({
    rows: lengths.map((length) => ({
      name: String(length),
      cells: depths.map((depth) => share(cell(length, depth), ({ outcome }) => outcome === "right") || 0),
    })),
    title: (row, column) =>
      `${lengths[row]} tokens, depth ${percent(depths[column])}: ${rightOf(cell(lengths[row], depths[column]))}`,
    most: 1,
  })
}

const rounded = (length: number) => Math.round(length / 256) * 256

interface Bin {
  readonly from: number
  readonly to: number
}

/** Stretches of positions, each twice as long as the one before, that have any. */
function binsOf(outcomes: readonly TierOutcome[]): Bin[] {
  const positions = outcomes.flatMap(({ divergences }) => divergences.map(({ position }) => position))
  const bins: Bin[] = []
  for (let to = 512; bins.length === 0 || bins[bins.length - 1].to <= Math.max(0, ...positions); to *= 2)
    bins.push({ from: to === 512 ? 0 : to / 2, to })
  return bins.filter(({ from, to }) => positions.some((position) => position >= from && position < to))
}

function medianIn(divergences: readonly Divergence[], { from, to }: Bin): number {
  const inside = divergences.filter(({ position }) => position >= from && position < to)
  return quantile(
    inside.map(({ kl }) => kl),
    0.5,
  )
}

/** The smallest value that at least this share does not exceed. */
function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)] ?? NaN
}

function share<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.filter(holds).length / items.length
}

function rightOf(answers: readonly Answer[]): string {
  return `${answers.filter(({ outcome }) => outcome === "right").length} of ${answers.length}`
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`
}
