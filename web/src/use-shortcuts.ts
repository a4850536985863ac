// The keyboard's ways through the page. Letters are taken by their key's place and with Alt, so that they write nothing
// on any keyboard; single signs count only outside of fields.

import { useEffect } from "react"

export type Shortcut =
  "newChat" | "search" | "sidebar" | "settings" | "engine" | "focus" | "edit" | "regenerate" | "stop" | "help"

/** As they are shown, in that order. */
export const shortcutKeys: readonly (readonly [Shortcut | "send" | "newLine", string])[] = [
  ["send", "Enter"],
  ["newLine", "Shift Enter"],
  ["stop", "Esc"],
  ["focus", "/"],
  ["newChat", "Alt N"],
  ["search", "Ctrl K"],
  ["edit", "Alt ↑"],
  ["regenerate", "Alt R"],
  ["sidebar", "Alt B"],
  ["settings", "Alt S"],
  ["engine", "Alt E"],
  ["help", "?"],
]

const byCode: Readonly<Record<string, Shortcut>> = {
  KeyN: "newChat",
  KeyB: "sidebar",
  KeyS: "settings",
  KeyE: "engine",
  KeyR: "regenerate",
  ArrowUp: "edit",
}

export function useShortcuts(on: (shortcut: Shortcut) => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const shortcut = shortcutOf(event)
      if (!shortcut) return
      if (shortcut !== "stop") event.preventDefault()
      on(shortcut)
    }
    addEventListener("keydown", listen)
    return () => removeEventListener("keydown", listen)
  }, [on])
}

function shortcutOf(event: KeyboardEvent): Shortcut | undefined {
  const { key, code, altKey, ctrlKey, metaKey, isComposing } = event
  if (isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return undefined
  if (key === "Escape") return "stop"
  if (altKey && !ctrlKey && !metaKey) return byCode[code]
  if ((ctrlKey || metaKey) && code === "KeyK") return "search"
  if (ctrlKey || metaKey || isField(event.target)) return undefined
  if (key === "/") return "focus"
  return key === "?" ? "help" : undefined
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select")
}
