// Keeps what changed: conversations in the browser's database a moment later, preferences at once.

import { useEffect, useRef } from "react"
import type { Dispatch } from "react"
import { savePreferences } from "./state/preferences.ts"
import type { Action, State } from "./state/reducer.ts"
import { openStorage } from "./state/storage.ts"
import type { Storage } from "./state/storage.ts"

/** While a reply grows, its conversation is written so often. */
const writeMs = 700

export function useStorage({ conversations, preferences }: State, dispatch: Dispatch<Action>): void {
  const storage = useRef<Storage>(undefined)
  const kept = useRef<State["conversations"]>({})
  const latest = useRef(conversations)
  latest.current = conversations

  useEffect(() => {
    const begin = async () => {
      storage.current = await openStorage()
      const read = await storage.current.read()
      kept.current = Object.fromEntries(read.map((one) => [one.id, one]))
      dispatch({ type: "read", conversations: read, storage: "ready" })
    }
    begin().catch(() => dispatch({ type: "read", conversations: [], storage: "missing" }))
  }, [dispatch])

  useEffect(() => {
    const timer = setInterval(() => void keep(storage.current, kept, latest.current), writeMs)
    const leave = () => void keep(storage.current, kept, latest.current)
    addEventListener("pagehide", leave)
    return () => {
      clearInterval(timer)
      removeEventListener("pagehide", leave)
    }
  }, [])

  useEffect(() => savePreferences(preferences), [preferences])
}

/** Writes what is not as it was kept last. */
async function keep(
  storage: Storage | undefined,
  kept: { current: State["conversations"] },
  now: State["conversations"],
): Promise<void> {
  const before = kept.current
  if (!storage || before === now) return
  kept.current = now
  const changed = Object.values(now).filter((one) => before[one.id] !== one)
  const gone = Object.keys(before).filter((id) => !(id in now))
  await Promise.all([...changed.map((one) => storage.write(one)), ...gone.map((id) => storage.remove(id))])
}
