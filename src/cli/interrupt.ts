// Ctrl-C: the first one aborts what runs, the second one leaves at once.

import { interruptExit } from "./failure.ts"

/** Runs work that Ctrl-C aborts; while it winds up, another Ctrl-C ends the process. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(interruptExit)
    controller.abort()
  }
  process.on("SIGINT", interrupt)
  try {
    return await work(controller.signal)
  } finally {
    process.off("SIGINT", interrupt)
  }
}
