// Whether the side parts lie over the conversation, as on a phone.

import { useSyncExternalStore } from "react"

const query = matchMedia("(max-width: 899px)")

function subscribe(changed: () => void): () => void {
  query.addEventListener("change", changed)
  return () => query.removeEventListener("change", changed)
}

export function useWidth(): "narrow" | "wide" {
  return useSyncExternalStore(subscribe, () => (query.matches ? "narrow" : "wide"))
}
