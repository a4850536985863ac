// `a3b` as benches run it: compiled, in a process of its own.

import { execFile, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import type { BenchResult } from "../src/cli/bench-report.ts"

const main = join(import.meta.dirname, "../dist/cli/main.js")

/** What `a3b bench` measures; `args` follow its name. */
export async function bench(...args: readonly string[]): Promise<BenchResult> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, "bench", ...args, "--json"])
  return JSON.parse(stdout) as BenchResult // its own command's
}

export interface ServerProcess {
  url: string
  pid: number
  /** Ends it as Ctrl-C does; its exit code. */
  stop: () => Promise<number | null>
}

/** On a free port; `args` follow `a3b serve`. */
export function startServer(args: readonly string[]): Promise<ServerProcess> {
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
