// The keyboard's ways, listed.

import type { RefObject } from "react"
import { useTexts } from "../texts.ts"
import { shortcutKeys } from "../use-shortcuts.ts"
import { IconButton } from "./icon-button.tsx"

export function Shortcuts({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  const t = useTexts()
  return (
    <dialog ref={dialog} className="shortcuts" aria-label={t.shortcuts}>
      <header className="row">
        <h2>{t.shortcuts}</h2>
        <IconButton icon="close" name={t.close} onClick={() => dialog.current?.close()} />
      </header>
      <dl>
        {shortcutKeys.map(([shortcut, keys]) => (
          <div key={shortcut}>
            <dt>{t.keys[shortcut]}</dt>
            <dd>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </dialog>
  )
}
