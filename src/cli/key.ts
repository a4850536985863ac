// Makes an API key for the server: prints it, this once, and keeps its hash and its limits in a file.

import type { Command } from "commander"
import { addKey } from "../server/keys.ts"
import { required, wholeNumber } from "./options.ts"
import { note, print } from "./output.ts"

interface KeyOptions {
  file?: string
  requests?: number
  tokens?: number
  priority?: number
}

const most = Number.MAX_SAFE_INTEGER

export function define(command: Command): void {
  command
    .argument("<name>", "whose key it is")
    .option("--file <file>", "where hashes of keys are kept, for serve --api-key-file")
    .option("--requests <number>", "most requests a minute; any number where left out", wholeNumber(1, most))
    .option("--tokens <number>", "most tokens a minute; any number where left out", wholeNumber(1, most))
    .option("--priority <number>", "lower goes first; 0 where left out", wholeNumber(-most, most))
    .action(makeKey)
}

function makeKey(name: string, options: KeyOptions, command: Command): void {
  const file = required(options.file, "--file <file>", command)
  const { requests, tokens, priority } = options
  const key = addKey(file, {
    name,
    ...(requests !== undefined && { requestsPerMinute: requests }),
    ...(tokens !== undefined && { tokensPerMinute: tokens }),
    ...(priority !== undefined && { priority }),
  })
  print(key)
  note(`keep it: ${file} has only its hash, and a running server reads the file when it starts`)
}
