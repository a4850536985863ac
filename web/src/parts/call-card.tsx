// A call of a tool: its name, its arguments, and the result, which the user gives, since this page runs nothing.

import type { Call, Reply } from "../state/conversation.ts"
import { CodeBlock } from "../markdown/code.tsx"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"

interface CallCardProps {
  call: Call
  reply: Reply
  conversation: string
  /** `written`: by the model, just now; `open`: a result can be given. */
  state: "written" | "open" | "closed"
}

export function CallCard({ call, reply, conversation, state }: CallCardProps) {
  const t = useTexts()
  const { dispatch } = usePage()
  const place = { conversation, turn: reply.id, call: call.id }
  const said = { written: t.calling, open: call.result ? t.answered : t.waitsForResult, closed: t.answered }
  return (
    <section className="call" aria-label={t.callOf(call.name)}>
      <header>
        <Icon name="tool" />
        <code>{call.name}</code>
        <span className="took">{said[state]}</span>
      </header>
      <CodeBlock code={indented(call.arguments)} language="json" />
      {state !== "written" && (
        <label className="field">
          <span>{t.result}</span>
          <textarea
            rows={Math.min(12, (call.result ?? "").split("\n").length + 1)}
            value={call.result ?? ""}
            placeholder={t.resultHint}
            readOnly={state === "closed"}
            onChange={({ target }) => dispatch({ type: "call-answered", ...place, result: target.value })}
          />
        </label>
      )}
    </section>
  )
}

/** As it was written, while it is not yet whole. */
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}
