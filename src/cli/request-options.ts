// The options of a request for a reply, for the commands that talk: how to draw, whether to think, which tools.

import { readFileSync } from "node:fs"
import type { Command } from "commander"
import type { ChatRequest, Json, Sampling, Thinking, Tool } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import { fileError } from "../weights/file.ts"
import { decimal, wholeNumber } from "./options.ts"

export interface RequestOptions {
  system?: string
  think: boolean
  thinkBudget?: number
  maxTokens?: number
  temperature?: number
  topK?: number
  topP?: number
  seed?: number
  tools?: string
}

const most = Number.MAX_SAFE_INTEGER

export function addRequestOptions(command: Command): Command {
  return command
    .option("--system <text>", "system message")
    .option("--no-think", "answer without thinking, where the model has both modes")
    .option("--think-budget <tokens>", "most tokens of thinking", wholeNumber(0, most))
    .option(
      "--max-tokens <number>",
      "most tokens to make; what the context allows where left out",
      wholeNumber(1, most),
    )
    .option(
      "--temperature <number>",
      "0 takes the likeliest token; the model's own where left out",
      decimal(0, 100),
    )
    .option(
      "--top-k <number>",
      "draw from the so many likeliest tokens only, 0 for all",
      wholeNumber(0, most),
    )
    .option("--top-p <number>", "draw from the likeliest tokens that make up this probability", decimal(0, 1))
    .option("--seed <number>", "the same seed draws the same tokens", wholeNumber(0, most))
    .option("--tools <file>", "JSON list of the functions that the model may call")
}

/** Everything of the request but its messages and its signal. */
export function requestOf(options: RequestOptions): Omit<ChatRequest, "messages" | "signal"> {
  const { maxTokens, temperature, topK, topP, seed, tools } = options
  const given = Object.entries({ maxTokens, temperature, topK, topP, seed }).filter(
    ([, value]) => value !== undefined,
  )
  const sampling: Partial<Sampling> = Object.fromEntries(given)
  return { sampling, thinking: thinkingOf(options), ...(tools !== undefined && { tools: readTools(tools) }) }
}

function thinkingOf({ think, thinkBudget }: RequestOptions): Thinking | undefined {
  if (!think && thinkBudget !== undefined)
    throw new UserError("bad-argument", "--no-think and --think-budget exclude each other: leave one out")
  if (!think) return "off"
  return thinkBudget === undefined ? undefined : { budget: thinkBudget }
}

function readTools(path: string): Tool[] {
  const tools = readJson(path)
  if (!Array.isArray(tools)) throw notTools(path, "is no JSON list")
  return tools.map((tool, i) => {
    if (!isTool(tool)) throw notTools(path, `has something else as number ${i + 1}`)
    return tool
  })
}

function isTool(value: unknown): value is Tool {
  const tool = value as Partial<Tool> | null // any JSON value: each field is looked at
  return tool?.type === "function" && typeof tool.function?.name === "string"
}

function notTools(path: string, what: string): UserError {
  return new UserError(
    "bad-argument",
    `${path} ${what}; wanted a list of {"type": "function", "function": {"name": ..., "parameters": ...}}`,
  )
}

export function readJson(path: string): Json {
  const text = readTextFile(path)
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw new UserError("bad-file", `${path} is no JSON (${messageOf(error)}): check the file`, {
      cause: error,
    })
  }
}

export function readTextFile(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw fileError(path, error)
  }
}
