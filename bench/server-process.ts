// `a3b serve` as benches run it: a process of its own on a free port.

import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface ServerProcess {
  url: string
  pid: number
  /** Ends it as Ctrl-C does; its exit code. */
  stop: () => Promise<number | null>
}

/** `args` follow `a3b serve`. The compiled code runs. */
export function startServer(args: readonly string[]): Promise<ServerProcess> {
  const main = join(import.meta.dirname, "../dist/cli/main.js")
  const server = spawn(process.execPath, [main, "serve", ...args, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const ended = new Promise<number | null>((resolve) => server.on("exit", resolve))
  return new Promise((resolve, reject) => {
    let printed = ""
    server.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text
      const url = /http:\/\/[\d.]+:\d+/.exec(printed)?.[0]
      const stop = () => {
        server.kill("SIGINT")
        return ended
      }
      if (url && server.pid !== undefined) resolve({ url, pid: server.pid, stop })
    })
    void ended.then((code) => reject(new Error(`the server ended with ${code}`)))
  })
}

/** The server's process and its model's. */
export function processesOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim()
  return [pid, ...children.split(" ").filter(Boolean).map(Number)]
}
