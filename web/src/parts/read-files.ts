// Files that were dropped or chosen in, their texts out. What is no text is refused by name.

import type { TextFile } from "../state/conversation.ts"
import type { Texts } from "../texts.ts"

const mostBytes = 4 * 2 ** 20

export async function readFiles(
  files: Iterable<File>,
  t: Texts,
): Promise<{ read: TextFile[]; refused: string[] }> {
  const read: TextFile[] = []
  const refused: string[] = []
  for (const file of files) {
    if (file.size > mostBytes) refused.push(t.tooLarge(file.name))
    else {
      const text = textOf(await file.arrayBuffer())
      if (text === undefined) refused.push(t.notText(file.name))
      else read.push({ name: file.name, text })
    }
  }
  return { read, refused }
}

/** Nothing where the bytes are no UTF-8 or have what no text has. */
export function textOf(bytes: ArrayBuffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return text.includes("\0") ? undefined : text
  } catch {
    return undefined
  }
}
