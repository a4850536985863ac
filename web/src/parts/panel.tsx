// What stands at the right of the conversation, or over it on a phone.

import type { ReactNode } from "react"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { IconButton } from "./icon-button.tsx"

export function Panel({ name, children }: { name: string; children: ReactNode }) {
  const t = useTexts()
  const { dispatch } = usePage()
  const close = () => dispatch({ type: "preferences-changed", preferences: { panel: "none" } })
  return (
    <aside className="panel" aria-label={name}>
      <header className="row">
        <h2>{name}</h2>
        <IconButton icon="close" name={t.close} onClick={close} />
      </header>
      <div className="panel-body" tabIndex={0} role="group" aria-label={name}>
        {children}
      </div>
    </aside>
  )
}
