// A block of code with its language, a button that copies it, and colours, for which the highlighter is loaded when the
// first block is seen. Until then, and for languages it does not know, the code stands plain.

import { memo, useEffect, useState } from "react"
import type { ReactNode } from "react"
import { CopyButton } from "../parts/copy-button.tsx"
import type { Tree } from "./highlight.ts"

export const CodeBlock = memo(({ code, language }: { code: string; language: string }) => {
  const tree = useHighlighted(code, language)
  return (
    <figure className="code">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={code} />
      </figcaption>
      <pre tabIndex={0}>
        <code>
          {tree && drawTree(tree.nodes)}
          {code.slice(tree?.code.length ?? 0)}
        </code>
      </pre>
    </figure>
  )
})

/** The colours of the code, or of what it was before it grew. */
function useHighlighted(code: string, language: string) {
  const [tree, setTree] = useState<{ code: string; nodes: Tree }>()
  useEffect(() => {
    let state: "wanted" | "gone" = "wanted"
    void import("./highlight.ts").then(({ highlight }) => {
      const nodes = highlight(code, language)
      if (state === "wanted" && nodes) setTree({ code, nodes })
    })
    return () => void (state = "gone")
  }, [code, language])
  return tree && code.startsWith(tree.code) ? tree : undefined
}

function drawTree(nodes: Tree): ReactNode {
  return nodes.map((node, i) => {
    if (node.type === "text") return node.value
    if (node.type !== "element") return null
    const names = node.properties.className
    return (
      <span key={i} className={Array.isArray(names) ? names.join(" ") : undefined}>
        {drawTree(node.children)}
      </span>
    )
  })
}
