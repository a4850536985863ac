// Step 6. Questions that a look-up answers: weather, phone numbers, calendar; two at once in one reply, and what does
// not exist.

import type { Json } from "../../../types.ts"
import { all, matches, mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import type { Stage } from "../script.ts"
import { callStages } from "./faults.ts"
import { drawSupport, handOff } from "./hand-off.ts"
import type { Support } from "./hand-off.ts"
import type { Result } from "./kit.ts"
import { purposes } from "./purposes.ts"
import { contentOf, drawKeys, find, topics } from "./topics.ts"
import type { Found, Topic } from "./topics.ts"
import { otherPurposes, toolbox } from "./toolbox.ts"
import type { Toolbox } from "./toolbox.ts"

const noEntry: readonly Json[] = [{ error: "not found" }, { result: null }, { error: "no entry" }]
const troubles = ["timeout", "malformed", "down", "missing"] as const
type Trouble = "none" | (typeof troubles)[number]

export function lookupProblem(
  random: Random,
  split: Split,
  language: Language,
  faults: Problem["faults"],
): Problem {
  const topic = random.pick(topics)
  const inside = [
    topic,
    ...(random.chance(0.4) ? (["handOff"] as const) : []),
    ...otherPurposes([topic, "handOff"], random, 2),
  ]
  const box = toolbox(inside, random, split, language)
  const support = drawSupport(random, language, box)
  const trouble = faults === "none" ? "none" : random.pick(troubles)
  const numKeys = trouble === "none" && random.chance(0.4) ? 2 : 1
  const keys = drawKeys(topic, random, split, language, numKeys)
  const found = keys.map((key) => find(random, topic, language, key))
  return problemOf({
    task: "tool-lookup",
    language,
    content: [...keys.map((key) => contentOf(topic, key)), ...box.content],
    messages: [
      ...(support.system ? [{ role: "system" as const, content: support.system }] : []),
      { role: "user", content: phrase(random, found[0].question, { x: joined(language, keys) }) },
    ],
    tools: box.tools,
    faults,
    stages: stagesOf(random, language, found, { topic, box }, trouble, support),
  })
}

function stagesOf(
  random: Random,
  language: Language,
  found: readonly Found[],
  { topic, box }: { topic: Topic; box: Toolbox },
  trouble: Trouble,
  support: Support,
): Stage[] {
  const keys = joined(
    language,
    found.map(({ key }) => key),
  )
  const what = purposes[topic].subject[language]
  const wish = { en: `Look up the ${what}: ${keys}.`, zh: `查${what}:${keys}。` }[language]
  const thought = wish + box.choice(topic)
  const tool = box.of(topic)
  const [{ key, result }] = found
  const make = (given: Result) => tool.call([key], given)
  switch (trouble) {
    case "none":
      return [
        { kind: "call", thought, calls: found.map((each) => tool.call([each.key], each.result)) },
        answer(language, found),
      ]
    case "missing": {
      const nothing = random.pick(noEntry)
      return [{ kind: "call", thought, calls: [make(nothing)] }, nothingFound(language, key)]
    }
    case "timeout":
    case "malformed":
      return [...callStages(random, language, thought, make, result, trouble), answer(language, found)]
    case "down":
      return [
        ...callStages(random, language, thought, make, result, trouble),
        ...handOff(random, language, support),
      ]
    default:
      return trouble satisfies never
  }
}

function answer(language: Language, found: readonly Found[]): Stage {
  return {
    kind: "say",
    thought: { en: "Found. Tell the user.", zh: "找到了，告诉用户。" }[language],
    text: found.map(({ says }) => says).join(language === "en" ? " " : ""),
    check: mentions(...found.flatMap(({ facts }) => facts)),
  }
}

function nothingFound(language: Language, key: string): Stage {
  return {
    kind: "say",
    thought: { en: "Not found. Say so.", zh: "没有找到，如实说明。" }[language],
    text: { en: `I found nothing for ${key}.`, zh: `没有找到${key}的结果。` }[language],
    check: all(
      mentions(key),
      matches(/nothing|not find|no |没有找到|找不到/i, "does not say that nothing was found"),
    ),
  }
}

function joined(language: Language, keys: readonly string[]): string {
  return keys.join(language === "en" ? " and " : "和")
}
