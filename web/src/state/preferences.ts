// What the user likes, kept in the browser's local storage: small, and read before the first paint. Another version's
// or a broken value is passed over field by field.

import { plainSettings } from "./settings.ts"
import type { ChatSettings } from "./settings.ts"

export interface Preferences {
  theme: "system" | "light" | "dark"
  language: "en" | "zh"
  /** Sent with each request where the server asks for one. */
  apiKey: string
  /** What stands at the right. */
  panel: "none" | "settings" | "engine"
  sidebar: "shown" | "hidden"
  /** For the next conversation: those that were set last. */
  settings: ChatSettings
}

const key = "a3b.preferences"

/** `width` of the window, `languages` in the order that the user prefers. */
export function plainPreferences(width: number, languages: readonly string[]): Preferences {
  return {
    theme: "system",
    language: languages[0]?.startsWith("zh") ? "zh" : "en",
    apiKey: "",
    panel: "none",
    sidebar: width < 900 ? "hidden" : "shown",
    settings: plainSettings,
  }
}

export function readPreferences(text: string | null, plain: Preferences): Preferences {
  const { settings, ...rest } = plain
  const stored = parsed(text)
  return { ...likened(stored, rest), settings: likened(stored.settings, settings) }
}

export function loadPreferences(): Preferences {
  const plain = plainPreferences(innerWidth, navigator.languages)
  const loaded = readPreferences(storageText(), plain)
  // On a phone both lie over the conversation, which is what one comes for.
  return innerWidth < 900 ? { ...loaded, panel: "none", sidebar: "hidden" } : loaded
}

export function savePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(key, JSON.stringify(preferences))
  } catch {
    // A browser that keeps nothing is one without preferences.
  }
}

function storageText(): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

function parsed(text: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? "{}")
    return isRecord(value) ? value : {}
  } catch {
    return {}
  }
}

/** The fields of `plain`, each as it was stored where that has the same type. */
export function likened<T extends object>(stored: unknown, plain: T): T {
  if (!isRecord(stored)) return plain
  const entries = Object.entries(plain).map(([name, value]) => {
    const found = stored[name]
    return [name, typeof found === typeof value && found !== null ? found : value]
  })
  return Object.fromEntries(entries) as T // the same names, and types as far as this page writes them
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
