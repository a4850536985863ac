// A text to a file of the user's, by way of the browser's downloads.

export function saveFile(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }))
  const link = Object.assign(document.createElement("a"), { href: url, download: name })
  link.click()
  URL.revokeObjectURL(url)
}

/** A title as a file's name on any system. */
export function fileName(title: string, ending: string): string {
  const safe = title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim()
  return `${safe || "conversation"}.${ending}`
}
