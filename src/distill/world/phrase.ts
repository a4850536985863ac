// Step 6. A pattern in, one of its wordings out: "[Hello|Hi], {name}" is one of two greetings of whoever is named.

import { assert } from "../../util/errors.ts"
import type { Random } from "./random.ts"

const fullWidth = "，？！：；"
const halfWidth = ",?!:;"
const isChinese = /\p{Script=Han}/u
const innermostChoice = /\[([^[\]]*)\]/g

/** Choices may be nested; values go in last, so that their text is never taken for a pattern. */
export function phrase(
  random: Random,
  pattern: string,
  values: Readonly<Record<string, string | number>> = {},
): string {
  let text = pattern
  while (text.includes("["))
    text = text.replace(innermostChoice, (_, choices: string) => random.pick(choices.split("|")))
  if (isChinese.test(text)) text = punctuated(text, random.chance(0.75) ? fullWidth : halfWidth)
  text = text.replace(/\{(\w+)\}/g, (_, name: string) => {
    assert(name in values, `the pattern "${pattern}" names {${name}}, which has no value`)
    return String(values[name])
  })
  return capitalised(text.replace(/ {2,}/g, " ").trim())
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Chinese is typed with its own marks, and often enough without. */
function punctuated(text: string, marks: string): string {
  const others = marks === fullWidth ? halfWidth : fullWidth
  return text.replace(/[,?!:;，？！：；]/g, (mark) => marks[others.indexOf(mark)] ?? mark)
}
