// Step 2. Messages and tools in, the prompt string out, through the checkpoint's own Jinja source: byte for byte
// what Jinja2 renders in Transformers' configuration. Knows nothing of what the tags in the prompt mean.

import type { Json, Message, Tool } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import { compile } from "./jinja/compile.ts"
import type { JinjaInterpreter } from "./jinja/interpreter.ts"
import { Environment } from "./jinja/library.ts"
import { strftime } from "./jinja/strftime.ts"
import { toValue } from "./jinja/values.ts"

export interface RenderInput {
  messages: readonly Message[]
  tools?: readonly Tool[] | null
  /** Whether the prompt ends where the assistant's reply begins. */
  addGenerationPrompt: boolean
  /** Further variables of the template, such as `enable_thinking`. */
  variables?: Readonly<Record<string, Json>>
}

type Variables = Readonly<Record<string, Json>>

const maxCompiled = 16
const compiled = new Map<string, JinjaInterpreter>()

export class ChatTemplate {
  readonly source: string
  readonly #interpreter: JinjaInterpreter
  readonly #variables: Variables

  private constructor(source: string, interpreter: JinjaInterpreter, variables: Variables) {
    this.source = source
    this.#interpreter = interpreter
    this.#variables = variables
  }

  /** `variables` are there in every render, such as `bos_token`. A source compiled lately is not compiled again. */
  static compile(source: string, variables: Variables = {}): ChatTemplate {
    const interpreter = compiled.get(source) ?? compile(source)
    compiled.delete(source)
    compiled.set(source, interpreter)
    for (const oldest of compiled.keys()) if (compiled.size > maxCompiled) compiled.delete(oldest)
    return new ChatTemplate(source, interpreter, variables)
  }

  render(input: RenderInput): string {
    const { messages, tools = null, addGenerationPrompt, variables } = input
    const named = {
      ...this.#variables,
      ...variables,
      messages,
      tools,
      add_generation_prompt: addGenerationPrompt,
    }
    try {
      const globals = globalVariables()
      for (const [name, value] of Object.entries(named)) globals.setVariable(name, toValue(value as Json))
      return this.#interpreter.render(globals)
    } catch (error) {
      throw new UserError(
        "bad-request",
        `the chat template cannot render these messages: ${messageOf(error)}: ` +
          `change the messages to what the template takes, or pass another template`,
        { cause: error },
      )
    }
  }
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null }

function globalVariables(): Environment {
  const globals = new Environment()
  for (const [name, value] of Object.entries(constants)) globals.setVariable(name, toValue(value))
  globals.set("range", range)
  globals.set("strftime_now", (format: string) => strftime(new Date(), format))
  globals.set("raise_exception", (message: string) => {
    throw new Error(message)
  })
  return globals
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step)
}
