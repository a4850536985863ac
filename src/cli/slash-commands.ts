// The commands of a chat, all of which begin with a slash: a line in, name and argument out, and their list for people.

import { table } from "./output.ts"

export interface SlashCommand {
  /** What follows the name. */
  takes?: string
  meaning: string
  run: (argument: string) => void
}

export type SlashCommands = Readonly<Record<string, SlashCommand>>

/** `/save notes.json`; a path such as /etc/hosts is no command. */
export function parseSlash(text: string): { name: string; argument: string } | undefined {
  const match = /^\/([a-z_]+)(?:[ \t]+(.*))?$/.exec(text.trim())
  return match ? { name: match[1], argument: match[2] ?? "" } : undefined
}

export function slashHelp(commands: SlashCommands): string {
  const rows = Object.entries(commands).map(([name, { takes = "", meaning }]) => [
    `/${name} ${takes}`.trimEnd(),
    meaning,
  ])
  const typing = [
    ['""" text """', "a message of several lines; a backslash at a line's end does it too"],
    ["Ctrl-C", "stop the reply; twice at the prompt, leave"],
  ]
  return table([...rows, ...typing])
}
