// What the user said, with its files. Edited, it becomes a branch: the old message and all that followed stay.

import { useState } from "react"
import type { Conversation, TextFile, UserTurn } from "../state/conversation.ts"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { BranchSwitch } from "./branch-switch.tsx"
import { CopyButton } from "./copy-button.tsx"
import { Icon } from "./icon.tsx"
import { IconButton } from "./icon-button.tsx"

export function UserMessage({ turn, conversation }: { turn: UserTurn; conversation: Conversation }) {
  const t = useTexts()
  const [state, setState] = useState<"shown" | "edited">("shown")
  if (state === "edited") return <Editor turn={turn} onDone={() => setState("shown")} />
  return (
    <article className="user" aria-label={t.you}>
      <div className="bubble" dir="auto">
        {turn.files.map((file, i) => (
          <FileView key={i} file={file} />
        ))}
        {turn.text}
      </div>
      <div className="actions">
        <BranchSwitch turn={turn} conversation={conversation} />
        <CopyButton text={turn.text} />
        <IconButton icon="edit" name={t.edit} data-edit onClick={() => setState("edited")} />
      </div>
    </article>
  )
}

function FileView({ file: { name, text } }: { file: TextFile }) {
  const t = useTexts()
  return (
    <details className="file">
      <summary>
        <Icon name="file" />
        <span>{name}</span>
        <span className="quiet">{t.lines(text.split("\n").length)}</span>
      </summary>
      <pre tabIndex={0}>{text}</pre>
    </details>
  )
}

function Editor({ turn, onDone }: { turn: UserTurn; onDone: () => void }) {
  const t = useTexts()
  const { chat } = usePage()
  const [text, setText] = useState(turn.text)
  const send = () => {
    onDone()
    if (text.trim() !== "") chat.edit(turn, text)
  }
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      <textarea
        aria-label={t.edit}
        autoFocus
        value={text}
        onFocus={({ target }) => target.setSelectionRange(text.length, text.length)}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return
          if (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey)) return
          event.preventDefault()
          if (event.key === "Escape") onDone()
          else send()
        }}
      />
      <div className="row">
        <span className="quiet">{t.editHint}</span>
        <button type="button" onClick={onDone}>
          {t.cancel}
        </button>
        <button type="submit" className="primary">
          {t.send}
        </button>
      </div>
    </form>
  )
}
