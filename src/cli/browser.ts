// Opens a page in the browser of whoever sits at this machine; where there is none, says so and nothing else.

import { spawn } from "node:child_process"
import { messageOf } from "../util/errors.ts"
import { note } from "./output.ts"

/** `url` is one that a server here listens on. */
export function openBrowser(url: string): void {
  // An address that means all of this machine's is none to go to.
  const reachable = url.replace(/\/\/(0\.0\.0\.0|\[::\]):/, "//localhost:")
  const [command, ...args] = openerOf(process.platform)
  const opener = spawn(command, [...args, reachable], { stdio: "ignore", detached: true })
  opener.on("error", (error) => note(`no browser was opened (${messageOf(error)}): go to ${reachable}`))
  opener.unref()
}

function openerOf(platform: NodeJS.Platform): [string, ...string[]] {
  switch (platform) {
    case "darwin":
      return ["open"]
    case "win32":
      return ["cmd", "/c", "start", ""]
    default:
      return ["xdg-open"]
  }
}
