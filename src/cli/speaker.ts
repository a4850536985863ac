// Who answers `chat` and `run`: a model of this machine, loaded as the options say, or one behind a URL.

import type { Command } from "commander"
import { load } from "../llm.ts"
import type { Llm } from "../llm.ts"
import { remote } from "../remote/remote.ts"
import type { ChatModel } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { defaultModel } from "./default-model.ts"
import { showingProgress } from "./loading.ts"
import {
  addAttentionOption,
  addContextOption,
  addKvOptions,
  addModelOptions,
  addPrefillOption,
  addPromoteOption,
} from "./options.ts"
import type { AttentionOptions, KvOptions, ModelOptions, PrefillOptions, PromoteOptions } from "./options.ts"
import { note } from "./output.ts"
import { count } from "./units.ts"

export interface SpeakerOptions
  extends ModelOptions, KvOptions, AttentionOptions, PrefillOptions, PromoteOptions {
  context?: number
  remote?: string
  remoteModel?: string
}

export interface Speaker {
  readonly model: ChatModel
  /** Who it is, for a person. */
  readonly greeting: string
  /** Not where the tokenizer is elsewhere. */
  readonly countTokens?: (text: string) => number
  free(): Promise<void>
}

export function addSpeakerOptions(command: Command): Command {
  addPromoteOption(
    addPrefillOption(addModelOptions(addAttentionOption(addKvOptions(addContextOption(command))))),
  )
  return command
    .option(
      "--remote <url>",
      "talk with the model of an OpenAI-compatible server, such as http://localhost:8000/v1; its key is A3B_API_KEY",
    )
    .option("--remote-model <name>", "which one, where the server has several")
}

/** A server is asked who it is, so that a wrong address is known before anything is typed. */
export async function openSpeaker(
  named: string | undefined,
  command: Command,
  signal: AbortSignal,
): Promise<Speaker> {
  const options = command.opts<SpeakerOptions>()
  if (options.remote !== undefined) {
    refuseLocal(named, command)
    return openRemote(options.remote, options, signal)
  }
  if (options.remoteModel !== undefined)
    throw new UserError("bad-argument", "--remote-model names a model of a server: give --remote <url> too")
  const model = named ?? defaultModel()
  const llm = await showingProgress((onProgress) =>
    load(model, { ...options, signal, onNotice: note, onProgress }),
  )
  return {
    model: llm,
    greeting: greetingOf(model, llm),
    countTokens: (text) => llm.tokenizer.encode(text).length,
    free: () => llm.free(),
  }
}

async function openRemote(url: string, options: SpeakerOptions, signal: AbortSignal): Promise<Speaker> {
  // Never an argument: those can be seen in the list of processes.
  const apiKey = process.env.A3B_API_KEY || undefined
  const model = remote(url, { model: options.remoteModel, apiKey })
  const { dialect, model: name, context } = await model.identity(signal)
  const what = dialect === "openai" ? "OpenAI's API" : dialect
  const tokens = context === undefined ? "" : `, context of ${count(context)} tokens`
  return {
    model,
    greeting: `${name} at ${model.address}\n${what}${tokens}; /help lists the commands`,
    free: async () => undefined,
  }
}

function greetingOf(model: string, { model: { backend }, context }: Llm): string {
  const threads = `${backend.threads} thread${backend.threads === 1 ? "" : "s"}`
  return `${model}\n${backend.device}, ${threads}, context of ${count(context)} tokens; /help lists the commands`
}

const localOptions = [
  "threads",
  "backend",
  "tokenizer",
  "context",
  "kv",
  "kvBudget",
  "attention",
  "prefillMode",
  "promote",
]

/** What would change nothing is not passed over. */
function refuseLocal(named: string | undefined, command: Command): void {
  if (named !== undefined)
    throw new UserError(
      "bad-argument",
      `${named} would be a model of this machine, and --remote one of a server: give one of them (--remote-model names the server's)`,
    )
  const given = localOptions.find((name) => command.getOptionValueSource(name) === "cli")
  const flag = command.options.find((option) => option.attributeName() === given)?.long
  if (flag)
    throw new UserError("bad-argument", `${flag} is for a model of this machine: leave it or --remote out`)
}
