// A button that shows a few more. It is the browser's own disclosure, closed by whatever happens elsewhere.

import { useRef } from "react"
import type { ReactNode } from "react"
import { Icon } from "./icon.tsx"

export function Menu({ name, children }: { name: string; children: ReactNode }) {
  const menu = useRef<HTMLDetailsElement>(null)
  const close = () => menu.current?.removeAttribute("open")
  return (
    <details
      ref={menu}
      className="menu"
      onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && close()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !menu.current?.open) return
        event.preventDefault()
        close()
        menu.current.querySelector("summary")?.focus()
      }}
    >
      <summary className="icon-button" aria-label={name} title={name}>
        <Icon name="more" />
      </summary>
      <div className="menu-items" onClick={close}>
        {children}
      </div>
    </details>
  )
}
