// Step 6. A recipe's JSON in, a checked recipe out. Knows nothing of how any of it is done.

import type { RawConfig } from "../model/config.ts"
import type { Json } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import { Fields } from "./fields.ts"
import type { Language, Mode, Problem } from "./world/problem.ts"
import type { Products } from "./train/ops.ts"
import type { Start } from "./train/parameters.ts"
import type { RecallOptions } from "./world/talk/recall.ts"
import { taskNames } from "./world/world.ts"

/** Teacher and student begin as the base, where there is one: it has the student's shape. It begins as `from`. */
export type Role = "base" | "teacher" | "student"
/** How long a stage lasts: a number of tokens makes it repeatable, minutes make it comparable. */
export type Budget = { readonly tokens: number } | { readonly minutes: number }

/** Which problems: tasks by weight, all alike where there are none, and the share that is thought about. */
export interface Mix {
  readonly tasks: Readonly<Record<string, number>>
  readonly thinking: number
  readonly languages: readonly Language[]
}

export interface SamplingPlan {
  readonly temperature: number
  readonly perPrompt: number
  /** Of one reply. */
  readonly maxTokens: number
}

/** Any server that speaks OpenAI's chat completions. */
export interface Endpoint {
  readonly url: string
  readonly model: string
  /** The environment variable that holds the key. */
  readonly keyVariable?: string
}

interface StageBase {
  readonly model: Role
  readonly budget: Budget
  readonly batchTokens: number
  readonly learningRate: number
  /** Share of the stage in which the rate rises; and what is left of it at the end. */
  readonly warmUp: number
  readonly finalRate: number
  readonly mix: Mix
}

export interface TracesStage extends StageBase {
  readonly kind: "traces"
  /** Loss weight of what the assistant does not write itself. */
  readonly promptWeight: number
  /** Longest example up to each share of the stage, in order; the last one ends at 1. */
  readonly curriculum: readonly { readonly until: number; readonly maxTokens: number }[]
}

export interface OffPolicyStage extends StageBase {
  readonly kind: "off-policy"
  readonly teacher: "model" | Endpoint
  /** How many problems the teacher is asked. */
  readonly prompts: number
  readonly sampling: SamplingPlan
  readonly keep: "solved" | "all"
}

export interface OnPolicyStage extends StageBase {
  readonly kind: "on-policy"
  /** How many problems between two exports of the student. */
  readonly prompts: number
  readonly sampling: SamplingPlan
  /** 0 is the forward divergence, 1 the reverse one. */
  readonly klMix: number
}

export type Stage = TracesStage | OffPolicyStage | OnPolicyStage

export interface EvaluationSet {
  readonly name: string
  /** Drawn from the world's held-out part, or the questions written by hand. */
  readonly source: "world" | "hand-written"
  /** All of the world's where left out. */
  readonly tasks?: readonly string[]
  readonly modes: readonly Mode[]
  readonly languages: readonly Language[]
  /** For the tool tasks; both kinds where left out. */
  readonly faults?: Problem["faults"]
  readonly problems: number
  readonly sampling: SamplingPlan
  /** For the recall task: about how many tokens the prompt has, and how many values are asked for. */
  readonly recall: RecallOptions
}

export interface Recipe {
  readonly name: string
  readonly about: string
  readonly cost: string
  readonly seed: number
  readonly tokenizer: { readonly vocabulary: number; readonly problems: number }
  /** config.json of each, without the vocabulary's size. */
  readonly models: Readonly<Record<Exclude<Role, "base">, RawConfig>>
  /** A folder with the model and the tokenizer to go on from. */
  readonly from?: string
  /** Of new models: all at random, or with an induction head in the first two layers. */
  readonly start: Start
  readonly stages: readonly Stage[]
  /** Several ways to train a student, each with every seed, after the stages. */
  readonly arms?: {
    readonly seeds: readonly number[]
    readonly ways: Readonly<Record<string, readonly Stage[]>>
  }
  readonly evaluation: readonly EvaluationSet[]
  /** Whether the student is measured once more with its weights in four bits. */
  readonly quantised: "measured" | "left out"
  readonly checkpointMinutes: number
  /** Of training. Machines that take the fastest differently learn different weights. */
  readonly products: Products
  readonly precision: "bf16" | "fp8"
}

/** `file` is only what errors call it. */
export function parseRecipe(text: string, file: string): Recipe {
  const fields = new Fields(file, "", parseJson(text, file))
  const recipe: Recipe = {
    name: fields.text("name"),
    about: fields.text("about"),
    cost: fields.text("cost"),
    seed: fields.whole("seed", { least: 0, most: 2 ** 31 }),
    tokenizer: readTokenizer(fields.object("tokenizer")),
    models: readModels(fields.object("models")),
    ...(fields.has("from") && { from: fields.text("from") }),
    start: fields.choice("start", ["random", "copying"], "random"),
    stages: fields.list("stages", readStage),
    ...(fields.has("arms") && { arms: readArms(fields.object("arms")) }),
    evaluation: fields.list("evaluation", readSet),
    quantised: fields.choice("quantised", ["measured", "left out"], "left out"),
    checkpointMinutes: fields.number("checkpointMinutes", { least: 0, most: 1e3, otherwise: 5 }),
    products: fields.choice("products", ["f32", "bf16", "fastest"], "f32"),
    precision: fields.choice("precision", ["bf16", "fp8"], "bf16"),
  }
  fields.end()
  return recipe
}

function parseJson(text: string, file: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw new UserError("bad-file", `${file} is no JSON (${messageOf(cause)}): check the recipe`, { cause })
  }
}

function readTokenizer(fields: Fields): Recipe["tokenizer"] {
  const tokenizer = {
    vocabulary: fields.whole("vocabulary", { least: 300, most: 65_536 }),
    problems: fields.whole("problems", { least: 1, most: 1e7 }),
  }
  fields.end()
  return tokenizer
}

function readModels(fields: Fields): Recipe["models"] {
  const models = { teacher: fields.raw("teacher"), student: fields.raw("student") }
  fields.end()
  return models
}

function readArms(fields: Fields): NonNullable<Recipe["arms"]> {
  const ways = fields.object("ways")
  const stages = Object.fromEntries(ways.names.map((name) => [name, ways.list(name, readStage)]))
  for (const [name, list] of Object.entries(stages))
    if (list.some(({ model }) => model !== "student")) throw ways.refuse(name, "stages of the student only")
  const arms = { seeds: fields.numbers("seeds"), ways: stages }
  fields.end()
  return arms
}

function readStage(fields: Fields): Stage {
  const kind = fields.choice("kind", ["traces", "off-policy", "on-policy"])
  const base: StageBase = {
    model: fields.choice("model", ["base", "teacher", "student"]),
    budget: readBudget(fields),
    batchTokens: fields.whole("batchTokens", { least: 16, most: 1 << 20 }),
    learningRate: fields.number("learningRate", { least: 0, most: 1 }),
    warmUp: fields.number("warmUp", { least: 0, most: 1, otherwise: 0.02 }),
    finalRate: fields.number("finalRate", { least: 0, most: 1, otherwise: 0.1 }),
    mix: readMix(fields),
  }
  if (kind !== "traces" && base.model !== "student")
    throw fields.refuse("model", `"student": the ${base.model} has no teacher`)
  const read = { traces: readTraces, "off-policy": readOffPolicy, "on-policy": readOnPolicy }[kind]
  const stage = read(fields, base)
  fields.end()
  return stage
}

function readBudget(fields: Fields): Budget {
  if (fields.has("tokens") === fields.has("minutes"))
    throw fields.refuse("tokens", "either tokens or minutes")
  return fields.has("tokens")
    ? { tokens: fields.whole("tokens", { least: 1, most: 1e12 }) }
    : { minutes: fields.number("minutes", { least: 0.001, most: 1e5 }) }
}

function readMix(fields: Fields): Mix {
  const tasks: Record<string, number> = {}
  if (fields.has("tasks")) {
    const weights = fields.object("tasks")
    const unknown = weights.names.find((task) => !taskNames.includes(task))
    if (unknown !== undefined) throw weights.refuse(unknown, `one of these instead: ${taskNames.join(", ")}`)
    for (const task of weights.names) tasks[task] = weights.number(task, { least: 0, most: 1e6 })
  }
  const thinking = fields.number("thinking", { least: 0, most: 1, otherwise: 0.5 })
  return { tasks, thinking, languages: readLanguages(fields) }
}

function readTraces(fields: Fields, base: StageBase): TracesStage {
  const promptWeight = fields.number("promptWeight", { least: 0, most: 1, otherwise: 0.1 })
  const curriculum = fields.has("curriculum")
    ? fields.list("curriculum", (step) => {
        const until = step.number("until", { least: 0, most: 1 })
        const maxTokens = step.whole("maxTokens", { least: 1, most: base.batchTokens })
        step.end()
        return { until, maxTokens }
      })
    : [{ until: 1, maxTokens: base.batchTokens }]
  const inOrder = curriculum.every(({ until }, i) => i === 0 || until > curriculum[i - 1].until)
  if (!inOrder || curriculum[curriculum.length - 1].until !== 1)
    throw fields.refuse("curriculum", "rising values of until, the last of them 1")
  return { ...base, kind: "traces", promptWeight, curriculum }
}

function readOffPolicy(fields: Fields, base: StageBase): OffPolicyStage {
  return {
    ...base,
    kind: "off-policy",
    teacher: fields.has("endpoint") ? readEndpoint(fields.object("endpoint")) : "model",
    prompts: fields.whole("prompts", { least: 1, most: 1e7 }),
    sampling: readSampling(fields.object("sampling"), 1),
    keep: fields.choice("keep", ["solved", "all"], "solved"),
  }
}

function readOnPolicy(fields: Fields, base: StageBase): OnPolicyStage {
  return {
    ...base,
    kind: "on-policy",
    prompts: fields.whole("prompts", { least: 1, most: 1e6 }),
    sampling: readSampling(fields.object("sampling"), 1),
    klMix: fields.number("klMix", { least: 0, most: 1, otherwise: 0.5 }),
  }
}

function readEndpoint(fields: Fields): Endpoint {
  const endpoint = {
    url: fields.text("url"),
    model: fields.text("model"),
    ...(fields.has("keyVariable") && { keyVariable: fields.text("keyVariable") }),
  }
  if (!URL.canParse(endpoint.url)) throw fields.refuse("url", "a URL like http://localhost:8000/v1")
  fields.end()
  return endpoint
}

function readSampling(fields: Fields, temperature: number): SamplingPlan {
  const sampling = {
    temperature: fields.number("temperature", { least: 0, most: 10, otherwise: temperature }),
    perPrompt: fields.whole("perPrompt", { least: 1, most: 4096, otherwise: 1 }),
    maxTokens: fields.whole("maxTokens", { least: 1, most: 1 << 20, otherwise: 512 }),
  }
  fields.end()
  return sampling
}

function readSet(fields: Fields): EvaluationSet {
  const set: EvaluationSet = {
    name: fields.text("name"),
    source: fields.choice("source", ["world", "hand-written"], "world"),
    ...(fields.has("tasks") && { tasks: fields.texts("tasks", taskNames) }),
    modes: fields.texts("modes", ["thinking", "plain"]),
    languages: readLanguages(fields),
    ...(fields.has("faults") && { faults: fields.choice("faults", ["none", "injected"] as const) }),
    problems: fields.whole("problems", { least: 1, most: 1e6, otherwise: 50 }),
    sampling: readSampling(fields.object("sampling"), 0),
    recall: {
      ...(fields.has("recallTokens") && {
        targetTokens: fields.whole("recallTokens", { least: 16, most: 1 << 20 }),
      }),
      ...(fields.has("needles") && { needles: fields.whole("needles", { least: 1, most: 4 }) }),
    },
  }
  fields.end()
  return set
}

function readLanguages(fields: Fields): Language[] {
  return fields.has("languages") ? fields.texts("languages", ["en", "zh"]) : ["en", "zh"]
}
