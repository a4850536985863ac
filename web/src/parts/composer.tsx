// Where the next message is written, with files and the choice of thinking.

import { useRef, useState } from "react"
import type { DragEvent } from "react"
import { pathOf } from "../state/conversation.ts"
import type { TextFile } from "../state/conversation.ts"
import { useTexts } from "../texts.ts"
import { useConversation, usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"
import { IconButton } from "./icon-button.tsx"
import { readFiles } from "./read-files.ts"
import { ThinkingChoice } from "./thinking-choice.tsx"

export function Composer() {
  const t = useTexts()
  const { chat } = usePage()
  const conversation = useConversation()
  const [text, setText] = useState("")
  const [files, setFiles] = useState<readonly TextFile[]>([])
  const [refused, setRefused] = useState<readonly string[]>([])
  const last = conversation && pathOf(conversation).at(-1)
  const running = last?.role === "assistant" && last.state === "running" ? last : undefined
  const add = async (chosen: Iterable<File>) => {
    const { read, refused: wrong } = await readFiles(chosen, t)
    setFiles((before) => [...before, ...read])
    setRefused(wrong)
  }
  const drop = useDrop((dropped) => void add(dropped))
  const empty = text.trim() === "" && files.length === 0
  const send = () => {
    if (empty || running) return
    chat.send(text.trim(), files)
    setText("")
    setFiles([])
    setRefused([])
  }
  return (
    <form
      className="composer"
      data-drop={drop.state}
      {...drop.listeners}
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      {drop.state === "over" && <div className="drop">{t.dropHere}</div>}
      <Files files={files} onRemove={(gone) => setFiles(files.filter((_, i) => i !== gone))} />
      {refused.length > 0 && (
        <p className="warning" role="alert">
          {refused.join(" · ")}
        </p>
      )}
      <textarea
        id="message"
        aria-label={t.message}
        placeholder={t.placeholder}
        rows={1}
        dir="auto"
        autoFocus={innerWidth >= 900}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return
          event.preventDefault()
          send()
        }}
      />
      <div className="row">
        <Attach onFiles={(chosen) => void add(chosen)} />
        <ThinkingChoice />
        <span className="space" />
        {running ? (
          <IconButton icon="stop" name={t.stop} className="primary" onClick={() => chat.stop(running)} />
        ) : (
          <IconButton icon="send" name={t.send} className="primary" type="submit" disabled={empty} />
        )}
      </div>
    </form>
  )
}

function Attach({ onFiles }: { onFiles: (files: Iterable<File>) => void }) {
  const t = useTexts()
  const chooser = useRef<HTMLInputElement>(null)
  return (
    <>
      <IconButton icon="attach" name={t.attach} onClick={() => chooser.current?.click()} />
      <input
        ref={chooser}
        id="files"
        type="file"
        multiple
        hidden
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])])
          event.target.value = "" // the same file can be chosen again
        }}
      />
    </>
  )
}

function Files({ files, onRemove }: { files: readonly TextFile[]; onRemove: (index: number) => void }) {
  const t = useTexts()
  if (files.length === 0) return null
  return (
    <ul className="files">
      {files.map(({ name, text }, i) => (
        <li key={i}>
          <Icon name="file" />
          <span>{name}</span>
          <span className="quiet">{t.lines(text.split("\n").length)}</span>
          <IconButton icon="close" name={t.removeFile(name)} onClick={() => onRemove(i)} />
        </li>
      ))}
    </ul>
  )
}

function useDrop(onFiles: (files: Iterable<File>) => void) {
  const [state, setState] = useState<"idle" | "over">("idle")
  const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes("Files")
  const listeners = {
    onDragOver: (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      setState("over")
    },
    onDragLeave: (event: DragEvent) => {
      if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setState("idle")
    },
    onDrop: (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      setState("idle")
      onFiles([...event.dataTransfer.files])
    },
  }
  return { state, listeners }
}
