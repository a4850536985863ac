// A thought: open while it is thought, then folded to one line with its time and tokens, unless the reader chose.

import { useId, useLayoutEffect, useRef, useState } from "react"
import { Markdown } from "../markdown/markdown.tsx"
import type { Thought } from "../state/conversation.ts"
import { useTexts } from "../texts.ts"
import { Icon } from "./icon.tsx"

export function ThoughtView({ thought, state }: { thought: Thought; state: "running" | "over" }) {
  const t = useTexts()
  const id = useId()
  const body = useRef<HTMLDivElement>(null)
  const [chosen, setChosen] = useState<"open" | "closed">()
  const shown = (chosen ?? (state === "running" ? "open" : "closed")) === "open"
  useLayoutEffect(() => {
    if (state === "running" && body.current) body.current.scrollTop = body.current.scrollHeight
  }, [state, thought.text])
  return (
    <section className="thought" data-state={state}>
      <button
        type="button"
        aria-expanded={shown}
        aria-controls={id}
        onClick={() => setChosen(shown ? "closed" : "open")}
      >
        <Icon name="thought" />
        <span className="what">{state === "running" ? t.thinkingNow : t.thoughtFor}</span>
        <span className="took">
          {t.seconds((thought.toMs - thought.fromMs) / 1000)} · {t.tokens(thought.tokens)}
        </span>
        <Icon name="chevron" />
      </button>
      <div
        id={id}
        hidden={!shown}
        ref={body}
        className="thought-text"
        tabIndex={0}
        role="group"
        aria-label={t.thinking}
      >
        {shown && <Markdown text={thought.text} />}
      </div>
    </section>
  )
}
