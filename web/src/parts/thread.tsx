// The turns that are read, first to last. It stays at its end while a reply grows, until the reader scrolls away.

import { useLayoutEffect, useRef, useState } from "react"
import { pathOf } from "../state/conversation.ts"
import type { Reply } from "../state/conversation.ts"
import { useTexts } from "../texts.ts"
import type { Texts } from "../texts.ts"
import { useConversation, usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"
import { ReplyView } from "./reply-view.tsx"
import { UserMessage } from "./user-message.tsx"

/** So near the end counts as at it. */
const nearPixels = 60

export function Thread() {
  const t = useTexts()
  const conversation = useConversation()
  const path = conversation ? pathOf(conversation) : []
  const place = useRef<HTMLDivElement>(null)
  const [at, setAt] = useState<"end" | "above">("end")
  const last = path.at(-1)
  // A new turn is what the reader asked for.
  useLayoutEffect(() => setAt("end"), [last?.id])
  useLayoutEffect(() => {
    if (at === "end" && place.current) place.current.scrollTop = place.current.scrollHeight
  }, [at, conversation])
  if (!conversation) return <Welcome />
  return (
    <div className="thread-place">
      <div
        ref={place}
        className="thread"
        role="region"
        aria-label={conversation.title}
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) =>
          setAt(scrollHeight - scrollTop - clientHeight < nearPixels ? "end" : "above")
        }
      >
        {path.map((turn, i) =>
          turn.role === "user" ? (
            <UserMessage key={turn.id} turn={turn} conversation={conversation} />
          ) : (
            <ReplyView
              key={turn.id}
              reply={turn}
              conversation={conversation}
              place={i === path.length - 1 ? "last" : "before"}
            />
          ),
        )}
      </div>
      {at === "above" && (
        <button type="button" className="to-latest" onClick={() => setAt("end")}>
          <Icon name="down" />
          {t.toLatest}
        </button>
      )}
      <span className="hidden" role="status">
        {last?.role === "assistant" ? spoken(last, t) : ""}
      </span>
    </div>
  )
}

/** What changes seldom enough to be read out while a reply comes. */
function spoken({ state, thought, text, calls, note }: Reply, t: Texts): string {
  if (state === "failed") return `${t.failed}: ${note ?? ""}`
  if (state === "stopped") return t.stopped
  if (state === "done") return calls.length > 0 ? t.waitsForResult : t.answered
  return thought && text === "" ? t.thinkingNow : ""
}

function Welcome() {
  const t = useTexts()
  const { chat } = usePage()
  return (
    <div className="thread-place">
      <div className="welcome">
        <h2>{t.hello}</h2>
        <p className="quiet">{t.helloMore}</p>
        <ul className="examples">
          {t.examples.map((example) => (
            <li key={example}>
              <button type="button" onClick={() => chat.send(example, [])}>
                {example}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}
