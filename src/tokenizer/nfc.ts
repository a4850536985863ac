// Step 3. Text in, its NFC form out, in linear time. The engine's own normaliser puts combining marks in order by
// insertion: a run of 300,000 disordered marks, a small request, would hold the process for half a minute.

const longRun = /\p{M}{16,}/gu

export function nfc(text: string): string {
  return text.replace(longRun, ordered).normalize("NFC")
}

/** The run in canonical order: its NFC form stays the same and nothing is left for the engine to sort. */
function ordered(run: string): string {
  let result = ""
  let block: string[] = []
  for (const character of run)
    for (const mark of character.normalize("NFD")) {
      if (!isStarter(mark)) block.push(mark)
      else {
        result += sorted(block) + mark
        block = []
      }
    }
  return result + sorted(block)
}

/** Marks by combining class, those of one class in the order they came. */
function sorted(marks: readonly string[]): string {
  const kinds = [...new Set(marks)].sort(compare)
  const classes = new Map<string, string[]>()
  for (const [i, kind] of kinds.entries()) {
    const before = kinds[i - 1]
    classes.set(kind, (i > 0 && compare(before, kind) === 0 && classes.get(before)) || [])
  }
  for (const mark of marks) classes.get(mark)!.push(mark) // every mark is one of the kinds
  return [...new Set(classes.values())].map((members) => members.join("")).join("")
}

function compare(a: string, b: string): number {
  if (swaps(a, b)) return 1
  return swaps(b, a) ? -1 : 0
}

/** Whether canonical order puts `b` first: the one way to compare combining classes, which JavaScript hides. */
function swaps(a: string, b: string): boolean {
  return a !== b && (a + b).normalize("NFD") === b + a
}

/** A starter has class 0 and never moves, not even against the lowest class (U+0334) or the highest (U+0345). */
function isStarter(mark: string): boolean {
  return !swaps(mark, "\u0334") && !swaps("\u0345", mark)
}
