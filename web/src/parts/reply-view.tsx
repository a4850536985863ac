// A reply: its thought, its text, its calls, how it ended, and what it took.

import { Markdown } from "../markdown/markdown.tsx"
import type { Conversation, Reply } from "../state/conversation.ts"
import { tokensPerSecond } from "../state/growth.ts"
import { useTexts } from "../texts.ts"
import type { Texts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { BranchSwitch } from "./branch-switch.tsx"
import { CallCard } from "./call-card.tsx"
import { CopyButton } from "./copy-button.tsx"
import { IconButton } from "./icon-button.tsx"
import { ThoughtView } from "./thought-view.tsx"
import { Waiting } from "./waiting.tsx"

interface ReplyViewProps {
  reply: Reply
  conversation: Conversation
  /** Results can be given to the calls of the last one. */
  place: "last" | "before"
}

export function ReplyView({ reply, conversation, place }: ReplyViewProps) {
  const t = useTexts()
  const { state, thought, text, calls } = reply
  const answering = text !== "" || calls.length > 0
  return (
    <article className="reply" aria-label={t.model} aria-busy={state === "running"}>
      {state === "running" && !reply.measures && <Waiting since={reply.at} />}
      {thought && (
        <ThoughtView thought={thought} state={state === "running" && !answering ? "running" : "over"} />
      )}
      {text !== "" && <Markdown text={text} />}
      {calls.map((call, i) => (
        <CallCard
          key={i}
          call={call}
          reply={reply}
          conversation={conversation.id}
          state={state === "running" ? "written" : place === "last" ? "open" : "closed"}
        />
      ))}
      {calls.length > 0 && place === "last" && state === "done" && <SendResults reply={reply} />}
      <Ending reply={reply} />
      {state !== "running" && (
        <div className="actions">
          <BranchSwitch turn={reply} conversation={conversation} />
          <CopyButton text={text} />
          <Regenerate reply={reply} />
          <span className="took">{took(reply, t)}</span>
        </div>
      )}
    </article>
  )
}

function Regenerate({ reply }: { reply: Reply }) {
  const t = useTexts()
  const { chat } = usePage()
  return <IconButton icon="again" name={t.regenerate} onClick={() => chat.regenerate(reply)} />
}

function SendResults({ reply }: { reply: Reply }) {
  const t = useTexts()
  const { chat } = usePage()
  const missing = reply.calls.some(({ result }) => result === undefined || result === "")
  return (
    <button
      type="button"
      className="primary send-results"
      disabled={missing}
      onClick={() => chat.goOn(reply)}
    >
      {t.sendResults}
    </button>
  )
}

function Ending({ reply: { state, note, cut } }: { reply: Reply }) {
  const t = useTexts()
  if (state === "failed")
    return (
      <p className="ending failed">
        {t.failed}: {note}
      </p>
    )
  const said = [state === "stopped" && t.stopped, cut && t.cutByLength, note].filter(Boolean)
  return said.length > 0 && <p className="ending">{said.join(" · ")}</p>
}

function took({ measures }: Reply, t: Texts): string {
  if (!measures) return ""
  const { tokens, firstMs, cachedTokens } = measures
  const rate = tokensPerSecond(measures)
  const parts = [
    t.tokens(tokens),
    rate !== undefined && t.perSecond(rate),
    t.firstAfter(t.seconds(firstMs / 1000)),
  ]
  return [...parts, cachedTokens !== undefined && cachedTokens > 0 && t.fromCache(cachedTokens)]
    .filter(Boolean)
    .join(" · ")
}
