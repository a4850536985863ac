// The conversations that this browser keeps, latest first, with a search over all that was said.

import { useMemo, useRef, useState } from "react"
import { search } from "../state/conversation.ts"
import type { Conversation } from "../state/conversation.ts"
import { fromJson, toJson } from "../state/export.ts"
import { useTexts } from "../texts.ts"
import type { Texts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"
import { IconButton } from "./icon-button.tsx"
import { saveFile } from "./save-file.ts"

export function Sidebar({ onHelp }: { onHelp: () => void }) {
  const t = useTexts()
  const { state, dispatch } = usePage()
  const [query, setQuery] = useState("")
  const found = useMemo(() => search(Object.values(state.conversations), query), [state.conversations, query])
  const hide = () => dispatch({ type: "preferences-changed", preferences: { sidebar: "hidden" } })
  const open = (conversation: string | null) => {
    dispatch({ type: "opened", conversation })
    if (innerWidth < 900) hide()
  }
  if (state.preferences.sidebar === "hidden") return null
  return (
    <nav className="sidebar" aria-label={t.conversations}>
      <div className="row">
        <span className="brand">a3b</span>
        <IconButton icon="sidebar" name={t.hideSidebar} onClick={hide} />
      </div>
      <button type="button" className="new" onClick={() => open(null)}>
        <Icon name="plus" />
        {t.newChat}
      </button>
      <label className="field search">
        <Icon name="search" />
        <span className="hidden">{t.search}</span>
        <input
          id="search"
          type="search"
          value={query}
          placeholder={t.search}
          onChange={(event) => setQuery(event.target.value)}
        />
      </label>
      <div className="conversations">
        {byDay(found, t).map(([day, some]) => (
          <section key={day} aria-label={day}>
            <h2>{day}</h2>
            <ul>
              {some.map((one) => (
                <li key={one.id}>
                  <button
                    type="button"
                    aria-current={one.id === state.open ? "page" : undefined}
                    onClick={() => open(one.id)}
                  >
                    {one.title || t.newChat}
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ))}
        {found.length === 0 && <p className="quiet">{query === "" ? t.noConversations : t.nothingFound}</p>}
      </div>
      {state.storage === "missing" && <p className="warning">{t.notKept}</p>}
      <Foot onHelp={onHelp} />
    </nav>
  )
}

function Foot({ onHelp }: { onHelp: () => void }) {
  const t = useTexts()
  const { state, dispatch } = usePage()
  const chooser = useRef<HTMLInputElement>(null)
  const [said, setSaid] = useState("")
  const read = async (file: File | undefined) => {
    if (!file) return
    const conversations = fromJson(await file.text())
    dispatch({ type: "imported", conversations })
    setSaid(t.imported(conversations.length))
  }
  const all = Object.values(state.conversations)
  return (
    <div className="row foot">
      <IconButton
        icon="download"
        name={t.exportAll}
        disabled={all.length === 0}
        onClick={() => saveFile("a3b-conversations.json", toJson(all))}
      />
      <IconButton icon="upload" name={t.import} onClick={() => chooser.current?.click()} />
      <input
        ref={chooser}
        type="file"
        accept=".json,application/json"
        hidden
        onChange={(event) => {
          void read(event.target.files?.[0])
          event.target.value = "" // the same file can be chosen again
        }}
      />
      <span className="quiet" role="status">
        {said}
      </span>
      <IconButton icon="keyboard" name={t.shortcuts} onClick={onHelp} />
    </div>
  )
}

function byDay(conversations: readonly Conversation[], t: Texts): [string, Conversation[]][] {
  const today = new Date().setHours(0, 0, 0, 0)
  const dayOf = ({ changedAt }: Conversation) => {
    if (changedAt >= today) return t.today
    return changedAt >= today - 24 * 3_600_000 ? t.yesterday : t.earlier
  }
  const days = new Map<string, Conversation[]>()
  for (const one of conversations) days.set(dayOf(one), [...(days.get(dayOf(one)) ?? []), one])
  return [...days]
}
