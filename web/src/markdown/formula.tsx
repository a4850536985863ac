// A formula, set by KaTeX, which is loaded when the first one is seen. KaTeX writes elements, not HTML, so the page's
// policy holds; what it cannot read is shown as it was written.

import { useEffect, useRef } from "react"

let katex: ReturnType<typeof loadKatex> | undefined

async function loadKatex() {
  const [module] = await Promise.all([import("katex"), import("katex/dist/katex.min.css")])
  return module.default
}

export function Formula({ tex, display }: { tex: string; display: "inline" | "block" }) {
  const place = useRef<HTMLElement>(null)
  useEffect(() => {
    let state: "wanted" | "gone" = "wanted"
    katex ??= loadKatex()
    void katex.then((set) => {
      if (state === "wanted" && place.current)
        set.render(tex, place.current, {
          displayMode: display === "block",
          throwOnError: false,
          maxExpand: 100,
        })
    })
    return () => void (state = "gone")
  }, [tex, display])
  const Tag = display === "block" ? "div" : "span"
  return (
    <Tag
      ref={(node: HTMLElement | null) => void (place.current = node)}
      className={`formula ${display}`}
      role="math"
      aria-label={tex}
      tabIndex={display === "block" ? 0 : undefined}
    />
  )
}
