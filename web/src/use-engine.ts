// The engine's reports as they come: every second while somebody looks at them, and now and then for the model's name.

import { useEffect, useState } from "react"
import { fetchReport, rateBetween } from "./api/engine.ts"
import type { EngineReport } from "./api/engine.ts"

export interface EngineView {
  report?: EngineReport
  /** Tokens per second by report, oldest first, of the last minute. */
  generated: readonly number[]
  prefilled: readonly number[]
  state: "asking" | "heard" | "gone"
}

const watchedMs = 1000
const unwatchedMs = 15_000
const numRates = 60

export function useEngine(watch: "watched" | "unwatched", apiKey: string): EngineView {
  const [view, setView] = useState<EngineView>({ generated: [], prefilled: [], state: "asking" })
  useEffect(() => {
    const abort = new AbortController()
    const look = async () => {
      if (document.hidden) return
      try {
        const report = await fetchReport(apiKey, abort.signal)
        setView((before) => following(before, report))
      } catch {
        // Aborted, nobody looks any more; else the panel says that it is gone, and the next report may come.
        if (!abort.signal.aborted) setView((before) => ({ ...before, state: "gone" }))
      }
    }
    void look()
    const timer = setInterval(() => void look(), watch === "watched" ? watchedMs : unwatchedMs)
    return () => {
      clearInterval(timer)
      abort.abort()
    }
  }, [watch, apiKey])
  return view
}

function following(view: EngineView, report: EngineReport): EngineView {
  const rates = (before: readonly number[], kind: "generated" | "prefilled") =>
    [...before, rateBetween(view.report, report, kind) ?? 0].slice(-numRates)
  return {
    report,
    generated: rates(view.generated, "generated"),
    prefilled: rates(view.prefilled, "prefilled"),
    state: "heard",
  }
}
