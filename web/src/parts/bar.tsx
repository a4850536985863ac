// What stands above a conversation: its title, the model's name, and the ways to everything beside it.

import { useState } from "react"
import type { Conversation } from "../state/conversation.ts"
import { toJson, toMarkdown } from "../state/export.ts"
import type { Preferences } from "../state/preferences.ts"
import { useTexts } from "../texts.ts"
import { useConversation, usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"
import { IconButton } from "./icon-button.tsx"
import { Menu } from "./menu.tsx"
import { fileName, saveFile } from "./save-file.ts"

export function Bar() {
  const t = useTexts()
  const { state, dispatch, engine } = usePage()
  const conversation = useConversation()
  const { sidebar, panel } = state.preferences
  const prefer = (preferences: Partial<Preferences>) => dispatch({ type: "preferences-changed", preferences })
  const toggle = (name: "settings" | "engine") => prefer({ panel: panel === name ? "none" : name })
  return (
    <header className="bar">
      {sidebar === "hidden" && (
        <>
          <IconButton icon="sidebar" name={t.showSidebar} onClick={() => prefer({ sidebar: "shown" })} />
          <IconButton
            icon="plus"
            name={t.newChat}
            onClick={() => dispatch({ type: "opened", conversation: null })}
          />
        </>
      )}
      <Title key={conversation?.id} conversation={conversation} />
      <span className="model" title={t.model}>
        {engine.report?.model}
      </span>
      {conversation && <ConversationMenu conversation={conversation} />}
      <IconButton
        icon="engine"
        name={t.engine}
        aria-pressed={panel === "engine"}
        onClick={() => toggle("engine")}
      />
      <IconButton
        icon="settings"
        name={t.settings}
        aria-pressed={panel === "settings"}
        onClick={() => toggle("settings")}
      />
    </header>
  )
}

/** Written over to rename. */
function Title({ conversation }: { conversation: Conversation | undefined }) {
  const t = useTexts()
  const { dispatch } = usePage()
  const [title, setTitle] = useState<string>()
  if (!conversation) return <h1 className="title">{t.newChat}</h1>
  const done = () => {
    if (title?.trim()) dispatch({ type: "renamed", conversation: conversation.id, title: title.trim() })
    setTitle(undefined)
  }
  return (
    <h1 className="title">
      <input
        id="title"
        aria-label={t.title}
        title={t.rename}
        value={title ?? conversation.title}
        onChange={(event) => setTitle(event.target.value)}
        onBlur={done}
        onKeyDown={(event) =>
          event.key === "Enter" && !event.nativeEvent.isComposing && event.currentTarget.blur()
        }
      />
    </h1>
  )
}

function ConversationMenu({ conversation }: { conversation: Conversation }) {
  const t = useTexts()
  const { dispatch } = usePage()
  const { id, title } = conversation
  return (
    <Menu name={t.more}>
      <button type="button" onClick={() => document.getElementById("title")?.focus()}>
        <Icon name="edit" />
        {t.rename}
      </button>
      <button type="button" onClick={() => saveFile(fileName(title, "md"), toMarkdown(conversation))}>
        <Icon name="download" />
        {t.exportMarkdown}
      </button>
      <button type="button" onClick={() => saveFile(fileName(title, "json"), toJson([conversation]))}>
        <Icon name="download" />
        {t.exportJson}
      </button>
      <button
        type="button"
        className="danger"
        onClick={() => confirm(t.deleteSure) && dispatch({ type: "deleted", conversation: id })}
      >
        <Icon name="trash" />
        {t.delete}
      </button>
    </Menu>
  )
}
