// Step 6. What a model is asked while its keys and values are kept in fewer bits: needles at even depths of texts of
// several lengths, word problems behind such texts, or prompts from a file. Knows text and ids; never tiers.

import type { ChatFormat } from "../chat/format.ts"
import { render } from "../chat/messages.ts"
import { splitReply } from "../chat/reply.ts"
import { Random } from "../distill/world/random.ts"
import { filler } from "../distill/world/talk/filler.ts"
import { recallProblem } from "../distill/world/talk/recall.ts"
import type { Problem } from "../distill/world/problem.ts"
import { problems, wordTasks } from "../distill/world/world.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import type { Json, Message } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"

/** Asked after a text that several questions may share. */
export interface Question {
  readonly ids: Int32Array
  /** From 0 to 1: where in the text the answer lies. */
  readonly depth?: number
  /** Ids that the text has from a place on for this question alone; injected texts only. */
  readonly put?: { readonly at: number; readonly ids: Int32Array }
  isRight(reply: readonly number[]): boolean
}

export interface KvPrompt {
  /** In words: answers are counted by it. */
  readonly kind: string
  readonly ids: Int32Array
  readonly questions: readonly Question[]
}

export interface PromptPlan {
  /** About how many tokens each text has. */
  readonly lengths: readonly number[]
  /** Needle texts of each length. */
  readonly depths: number
  /** Values asked for in each of them. */
  readonly needles: number
  /** Word problems behind texts of each length. */
  readonly wordProblems: number
  readonly seed: number
  /** Whether the model thinks before it answers, where it is one that may; not where left out. */
  readonly thinking?: "on" | "off"
}

/** How the model reads and writes. */
export interface Speech {
  readonly format: ChatFormat
  readonly tokenizer: Tokenizer
}

/** More than a sentence about other things has: too many are never added at once. */
const mostSentenceTokens = 24

export function plannedPrompts(plan: PromptPlan, speech: Speech): KvPrompt[] {
  return plan.lengths.flatMap((length) => [
    ...Array.from({ length: plan.depths }, (_, i) =>
      needlePrompt(length, plan.depths === 1 ? 0.5 : i / (plan.depths - 1), plan, speech),
    ),
    ...Array.from({ length: plan.wordProblems }, (_, i) => wordPrompt(length, plan, i, speech)),
  ])
}

function needlePrompt(
  length: number,
  depth: number,
  { needles, seed, thinking }: PromptPlan,
  speech: Speech,
): KvPrompt {
  const random = new Random(seed + length + Math.round(1000 * depth))
  const problem = recallProblem(random, "held-out", "en", { targetTokens: length, needles, depth })
  return asked("needles", problem, problem.messages, { ...speech, thinking, depth })
}

/** Sentences about other things until the text is long enough, then the problem. */
function wordPrompt(
  length: number,
  { seed, thinking }: PromptPlan,
  number: number,
  speech: Speech,
): KvPrompt {
  const source = problems({ tasks: wordTasks, split: "held-out", languages: ["en"], seed: seed + number })
  const problem = source.next().value
  const [question, ...rest] = problem.messages
  const random = new Random(seed + length + number)
  const sentences: string[] = []
  for (;;) {
    const text = { ...question, content: [sentences.join(" "), question.content].join("\n") }
    const prompt = asked("word problems", problem, [text, ...rest], { ...speech, thinking })
    const missing = length - prompt.ids.length
    if (missing <= 0) return prompt
    for (let tokens = 0; tokens < missing; tokens += mostSentenceTokens) sentences.push(filler(random, "en"))
  }
}

function asked(
  kind: KvPrompt["kind"],
  problem: Problem,
  messages: readonly Message[],
  {
    format,
    tokenizer,
    thinking = "off",
    depth,
  }: Speech & Pick<PromptPlan, "thinking"> & Pick<Question, "depth">,
): KvPrompt {
  const prompt = render(format, { messages, thinking })
  const ids = tokenizer.encode(prompt)
  const { toolFormat } = format
  const isRight = (reply: readonly number[]) => {
    const play = problem.play()
    const { content } = splitReply(tokenizer.decode(reply), { prompt, toolFormat })
    play.respond({ role: "assistant", content })
    return play.verdict().solved
  }
  return { kind, ids: ids.subarray(0, -1), questions: [{ ids: ids.subarray(-1), depth, isRight }] }
}

/**
 * One prompt a line, as JSON: `{ "text": ... }` or `{ "ids": [...] }`, with or without a `kind` and questions
 * `[{ "ids": [...], "answer": [...], "depth": 0.5 }]`, whose reply must begin with the answer. A question may
 * `"put": { "at": 7, "ids": [...] }` ids into the text for itself.
 */
export function promptsFrom(file: string, text: string, tokenizer: Tokenizer): KvPrompt[] {
  const lines = text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [{ line, number: i + 1 }]))
  if (lines.length === 0)
    throw new UserError("bad-file", `${file} has no prompts: wanted one JSON object a line`)
  return lines.map(({ line, number }) => {
    const refuse = (what: string) =>
      new UserError(
        "bad-file",
        `${file}, line ${number}: ${what}; wanted { "text" } or { "ids" } with "questions"`,
      )
    let value: Json
    try {
      value = JSON.parse(line) as Json
    } catch (error) {
      throw refuse(messageOf(error))
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse("no JSON object")
    const { text: words, ids: given, questions = [], kind = "file" } = value
    const ids = typeof words === "string" ? tokenizer.encode(words) : idsOf(given)
    if (!ids || ids.length === 0) throw refuse("neither text nor ids")
    if (!Array.isArray(questions)) throw refuse("questions are no list")
    if (typeof kind !== "string") throw refuse("a kind that is no text")
    return { kind, ids, questions: questions.map((each) => questionOf(each, ids.length, refuse)) }
  })
}

function questionOf(value: Json, numTokens: number, refuse: (what: string) => UserError): Question {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw refuse("a question is no object")
  const [ids, answer] = [idsOf(value.ids), idsOf(value.answer)]
  if (!ids?.length || !answer?.length) throw refuse("a question lacks ids or an answer")
  const put = value.put === undefined ? undefined : putOf(value.put)
  if (put === "wrong" || (put && put.at + put.ids.length > numTokens))
    throw refuse("a question puts something else than ids into the text, or puts them beyond its end")
  return {
    ids,
    ...(put && { put }),
    ...(typeof value.depth === "number" && { depth: value.depth }),
    isRight: (reply) => answer.every((id, i) => reply[i] === id),
  }
}

function putOf(value: Json): Question["put"] | "wrong" {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "wrong"
  const [at, ids] = [value.at, idsOf(value.ids)]
  return ids?.length && Number.isSafeInteger(at) && Number(at) >= 0 ? { at: Number(at), ids } : "wrong"
}

function idsOf(value: Json | undefined): Int32Array | undefined {
  const isId = (id: Json): id is number => Number.isSafeInteger(id) && Number(id) >= 0 && Number(id) < 2 ** 31
  return Array.isArray(value) && value.every(isId) ? Int32Array.from(value) : undefined
}
