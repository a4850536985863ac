// Copies a text and says so for a moment. Where the page is not on a secure origin there is no clipboard to write to,
// but a selection can still be copied.

import { useEffect, useState } from "react"
import { useTexts } from "../texts.ts"
import { IconButton } from "./icon-button.tsx"

const saidMs = 1600

export function CopyButton({ text }: { text: string }) {
  const t = useTexts()
  const [state, setState] = useState<"idle" | "copied">("idle")
  useEffect(() => {
    if (state === "idle") return
    const timer = setTimeout(() => setState("idle"), saidMs)
    return () => clearTimeout(timer)
  }, [state])
  const copy = async () => {
    await copyText(text)
    setState("copied")
  }
  const [icon, name] = state === "copied" ? (["check", t.copied] as const) : (["copy", t.copy] as const)
  return <IconButton icon={icon} name={name} onClick={() => void copy()} />
}

async function copyText(text: string): Promise<void> {
  if (isSecureContext) return navigator.clipboard.writeText(text)
  const field = document.createElement("textarea")
  field.value = text
  document.body.append(field)
  field.select()
  document.execCommand("copy")
  field.remove()
}
