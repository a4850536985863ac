// The page as a whole: its state, its three columns, and what the keyboard does everywhere.

import { useCallback, useEffect, useMemo, useReducer, useRef } from "react"
import { Bar } from "./parts/bar.tsx"
import { Composer } from "./parts/composer.tsx"
import { EnginePanel } from "./parts/engine-panel.tsx"
import { SettingsPanel } from "./parts/settings-panel.tsx"
import { Shortcuts } from "./parts/shortcuts.tsx"
import { Sidebar } from "./parts/sidebar.tsx"
import { Thread } from "./parts/thread.tsx"
import { pathOf } from "./state/conversation.ts"
import type { Reply } from "./state/conversation.ts"
import { loadPreferences } from "./state/preferences.ts"
import type { Preferences } from "./state/preferences.ts"
import { reduce } from "./state/reducer.ts"
import type { State } from "./state/reducer.ts"
import { TextsProvider, texts } from "./texts.ts"
import { useChat } from "./use-chat.ts"
import { useEngine } from "./use-engine.ts"
import { PageProvider } from "./use-page.ts"
import { useShortcuts } from "./use-shortcuts.ts"
import type { Shortcut } from "./use-shortcuts.ts"
import { useStorage } from "./use-storage.ts"
import { useWidth } from "./use-width.ts"

export function App() {
  const [state, dispatch] = useReducer(reduce, undefined, beginning)
  const { preferences, open, conversations } = state
  const width = useWidth()
  const chat = useChat(state, dispatch)
  const engine = useEngine(preferences.panel === "engine" ? "watched" : "unwatched", preferences.apiKey)
  const help = useRef<HTMLDialogElement>(null)
  const page = useMemo(() => ({ state, dispatch, chat, engine }), [state, chat, engine])
  useStorage(state, dispatch)
  useAppearance(preferences)

  const path = open !== null && conversations[open] ? pathOf(conversations[open]) : []
  const last = path.findLast((turn) => turn.role === "assistant")
  const prefer = (more: Partial<Preferences>) => dispatch({ type: "preferences-changed", preferences: more })
  const onShortcut = useLatest((shortcut: Shortcut) =>
    follow(shortcut, {
      preferences,
      prefer,
      help: () => help.current?.showModal(),
      newChat: () => dispatch({ type: "opened", conversation: null }),
      regenerate: () => last && last.state !== "running" && chat.regenerate(last),
      stop: () => stopOrClose(last, chat.stop, preferences, prefer),
    }),
  )
  useShortcuts(onShortcut)

  const covered = width === "narrow" && (preferences.sidebar === "shown" || preferences.panel !== "none")
  return (
    <TextsProvider value={texts[preferences.language]}>
      <PageProvider value={page}>
        <div className="app" data-sidebar={preferences.sidebar} data-panel={preferences.panel}>
          <Sidebar onHelp={() => help.current?.showModal()} />
          <main inert={covered}>
            <Bar />
            <Thread key={open ?? "new"} />
            <Composer key={`message ${open ?? "new"}`} />
          </main>
          {covered && (
            <div className="cover" onClick={() => prefer({ sidebar: "hidden", panel: "none" })} aria-hidden />
          )}
          {preferences.panel === "settings" && <SettingsPanel />}
          {preferences.panel === "engine" && <EnginePanel />}
          <Shortcuts dialog={help} />
        </div>
      </PageProvider>
    </TextsProvider>
  )
}

function beginning(): State {
  return { conversations: {}, open: null, preferences: loadPreferences(), storage: "reading" }
}

interface Ways {
  preferences: Preferences
  prefer: (more: Partial<Preferences>) => void
  help: () => void
  newChat: () => void
  regenerate: () => void
  stop: () => void
}

function follow(shortcut: Shortcut, { preferences, prefer, ...ways }: Ways): void {
  const { panel, sidebar } = preferences
  switch (shortcut) {
    case "settings":
    case "engine":
      return prefer({ panel: panel === shortcut ? "none" : shortcut })
    case "sidebar":
      return prefer({ sidebar: sidebar === "shown" ? "hidden" : "shown" })
    case "search":
      prefer({ sidebar: "shown" })
      return focusSoon("#search")
    case "newChat":
      ways.newChat()
      return focusSoon("#message")
    case "focus":
      return focusSoon("#message")
    case "edit":
      return [...document.querySelectorAll<HTMLElement>("[data-edit]")].at(-1)?.click()
    case "regenerate":
    case "stop":
    case "help":
      return ways[shortcut]()
    default:
      return shortcut satisfies never
  }
}

/** Once the part that has it is drawn. */
function focusSoon(selector: string): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(selector)?.focus())
}

/** Escape ends what moves first, then closes what lies over the page. */
function stopOrClose(
  last: Reply | undefined,
  stop: (reply: Reply) => void,
  { panel, sidebar }: Preferences,
  prefer: (more: Partial<Preferences>) => void,
): void {
  if (last?.state === "running") return stop(last)
  if (panel !== "none") return prefer({ panel: "none" })
  if (sidebar === "shown" && innerWidth < 900) prefer({ sidebar: "hidden" })
}

function useAppearance({ theme, language }: Preferences): void {
  useEffect(() => {
    const { documentElement: root } = document
    if (theme === "system") delete root.dataset.theme
    else root.dataset.theme = theme
    root.lang = language === "zh" ? "zh-Hans" : "en"
  }, [theme, language])
}

/** A function that stays the same and does what the latest one does. */
function useLatest<T>(work: (argument: T) => void): (argument: T) => void {
  const latest = useRef(work)
  latest.current = work
  return useCallback((argument: T) => latest.current(argument), [])
}
