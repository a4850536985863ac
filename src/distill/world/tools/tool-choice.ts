// Step 6. Which of the tools is for what: many choices of a name in one short text, most of names that say nothing.

import { json } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { pickNaming } from "./kit.ts"
import { purposeNames, purposes } from "./purposes.ts"
import { toolbox } from "./toolbox.ts"

const requests = {
  en: "[Which tool is for what|Name the tool for each of these|Which tools do you use for these|What are your tools called for these], as JSON: {subjects}.",
  zh: "[这些各用哪个工具|写出各自的工具名|下列各项对应哪个工具|你用哪些工具],用JSON回答:{subjects}。",
}

export function toolChoiceProblem(random: Random, split: Split, language: Language): Problem {
  const inside = random.sample(purposeNames, random.between(2, 8))
  const box = toolbox(inside, random, split, language, pickNaming(random, 0.8))
  const asked = random.sample(inside, random.between(1, inside.length))
  const subjects = asked.map((purpose) => purposes[purpose].subject[language])
  const choices = asked.map((purpose) => box.choice(purpose)).join("")
  const names = asked.map((purpose) => box.of(purpose).name)
  const fields = subjects.map((subject, i) => `${JSON.stringify(subject)}: ${JSON.stringify(names[i])}`)
  const text = `{${fields.join(", ")}}`
  return problemOf({
    task: "tool-choice",
    language,
    content: box.content,
    messages: [
      {
        role: "user",
        content: phrase(random, requests[language], {
          subjects: subjects.join(language === "en" ? ", " : "、"),
        }),
      },
    ],
    tools: box.tools,
    stages: [
      {
        kind: "say",
        thought: { en: "Read what each is for.", zh: "看每个工具的说明。" }[language] + choices,
        text,
        check: json(JSON.parse(text) as Record<string, string>),
      },
    ],
  })
}
