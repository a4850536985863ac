// What two reports say about experts: counts since the first one, with what is left of those before.

/** [layers][experts] */
export type Counts = readonly (readonly number[])[]

/** Of what was seen a report ago, so much is still shown. */
const kept = 0.75

/** Where there is no report before, or the model was opened anew, all that was counted. */
export function fadedCounts(before: { counts: Counts; recent: Counts } | undefined, counts: Counts): Counts {
  return counts.map((layer, l) =>
    layer.map((count, e) => {
      const [last, recent] = [before?.counts[l]?.[e] ?? 0, before?.recent[l]?.[e] ?? 0]
      return count < last ? count : recent * kept + (count - last)
    }),
  )
}

/** An expert's share of what its layer was given, as `1.6 %`. */
export function shareText(layer: readonly number[] = [], expert: number): string {
  const all = layer.reduce((sum, count) => sum + count, 0)
  return `${((100 * (layer[expert] ?? 0)) / Math.max(1, all)).toFixed(1)} %`
}
