#!/usr/bin/env node
// Steps 1 and 9 for people at a terminal: picks the command that the arguments name and loads only that one. What a
// command throws becomes one line and an exit code: 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.

import { createRequire } from "node:module"
import { Command, CommanderError } from "commander"
import { variablesHelp } from "./environment.ts"
import { describeFailure } from "./failure.ts"
import { watchOutput } from "./output.ts"

interface Entry {
  group: string
  summary: string
  /** Adds the command's arguments, options and action. */
  load: () => Promise<{ define: (command: Command) => void }>
}

const talk = "Talk:"
const models = "Models:"
const machine = "Machine:"

const entries: Record<string, Entry> = {
  chat: { group: talk, summary: "talk with a model", load: () => import("./chat.ts") },
  run: { group: talk, summary: "answer one prompt", load: () => import("./run.ts") },
  serve: { group: talk, summary: "serve a model over HTTP", load: () => import("./serve.ts") },
  key: { group: talk, summary: "make an API key for serve", load: () => import("./key.ts") },
  pull: { group: models, summary: "download a model and pack it", load: () => import("./pull.ts") },
  pack: { group: models, summary: "pack a checkpoint for fast starts", load: () => import("./pack.ts") },
  list: { group: models, summary: "list the models on this machine", load: () => import("./list.ts") },
  rm: { group: models, summary: "remove a model", load: () => import("./rm.ts") },
  verify: {
    group: models,
    summary: "check every byte of a packed model, and its source",
    load: () => import("./verify.ts"),
  },
  inspect: {
    group: models,
    summary: "show a model's modules, config and tensors",
    load: () => import("./inspect.ts"),
  },
  logits: {
    group: models,
    summary: "print the logits after each of some token ids",
    load: () => import("./logits.ts"),
  },
  eval: {
    group: models,
    summary: "measure what compressed keys and values lose",
    load: () => import("./eval.ts"),
  },
  distill: {
    group: models,
    summary: "train a small model as a recipe says",
    load: () => import("./distill.ts"),
  },
  plan: { group: machine, summary: "tell whether a model fits in memory", load: () => import("./plan.ts") },
  bench: { group: machine, summary: "measure the speed of a model", load: () => import("./bench.ts") },
  doctor: {
    group: machine,
    summary: "show what this machine offers and lacks",
    load: () => import("./doctor.ts"),
  },
}

async function buildProgram(args: readonly string[]): Promise<Command> {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string }
  const program = new Command("a3b")
    .description("Runs Qwen3-30B-A3B on this machine.")
    .version(version)
    .helpOption("-h, --help", "show this help")
    .addHelpCommand(
      new Command("help").argument("[command]").description("show the help of a command").helpGroup(machine),
    )
    .exitOverride()
    // What goes wrong is thrown and shown by `main`, in one line.
    .configureOutput({ outputError: () => undefined })
    .addHelpText("after", `\n${variablesHelp()}`)
  // Of `a3b help run` the second word names the command.
  const named = args.filter((arg) => !arg.startsWith("-") && arg !== "help")[0]
  for (const [name, { group, summary, load }] of Object.entries(entries)) {
    const command = program.command(name).description(summary).helpGroup(group)
    if (name === named) (await load()).define(command)
  }
  return program
}

async function main(args: readonly string[]): Promise<void> {
  watchOutput()
  try {
    const program = await buildProgram(args)
    await program.parseAsync(args, { from: "user" })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    const { line, exitCode } = describeFailure(error)
    if (line) process.stderr.write(`${line}\n`)
    process.exitCode = exitCode
  }
}

const args = process.argv.slice(2)
await main(args.length > 0 ? args : ["--help"])
