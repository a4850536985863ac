// Step 8. The tags that structure a reply, found by their token ids, and as text where the vocabulary lacks the
// token. A text tag may come in pieces: what may yet become one is held back.

export const tagTexts = {
  think: "<think>",
  endThink: "</think>",
  toolCall: "<tool_call>",
  endToolCall: "</tool_call>",
  /** Begins a call in the XML form; never a token of its own. */
  function: "<function=",
} as const

export type TagName = keyof typeof tagTexts
export type TagIds = { readonly [name in Exclude<TagName, "function">]?: number }

/** A stretch of the reply; a tag carries its text because in the wrong place it is nothing but text. */
export interface Piece {
  readonly tag?: TagName
  readonly text: string
}

/** Looks the tags' ids up by name in the loaded tokenizer. */
export function findTags(idOf: (token: string) => number | undefined): TagIds {
  return {
    think: idOf(tagTexts.think),
    endThink: idOf(tagTexts.endThink),
    toolCall: idOf(tagTexts.toolCall),
    endToolCall: idOf(tagTexts.endToolCall),
  }
}

export class TagScanner {
  readonly #byId = new Map<number, TagName>()
  readonly #byText: TagName[]
  #held = ""

  /** `textTags` are looked for as text besides those without an id. */
  constructor(ids: TagIds, textTags: readonly TagName[]) {
    const names = ["think", "endThink", "toolCall", "endToolCall"] as const
    for (const name of names) if (ids[name] !== undefined) this.#byId.set(ids[name], name)
    this.#byText = [...names.filter((name) => ids[name] === undefined), ...textTags]
  }

  push(id: number, text: string): Piece[] {
    const tag = this.#byId.get(id)
    if (tag === undefined) return this.#scan(this.#held + text)
    // The end of a character cut short comes out together with the tag.
    const before = text.endsWith(tagTexts[tag]) ? text.slice(0, -tagTexts[tag].length) : text
    return [...this.#flush(this.#held + before), { tag, text: tagTexts[tag] }]
  }

  end(text: string): Piece[] {
    const pieces = this.#scan(this.#held + text)
    return [...pieces, ...this.#flush(this.#held)]
  }

  #flush(text: string): Piece[] {
    this.#held = ""
    return text === "" ? [] : [{ text }]
  }

  #scan(text: string): Piece[] {
    const pieces: Piece[] = []
    let begin = 0
    for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at + 1)) {
      const tag = this.#byText.find((name) => text.startsWith(tagTexts[name], at))
      if (tag) {
        if (at > begin) pieces.push({ text: text.slice(begin, at) })
        pieces.push({ tag, text: tagTexts[tag] })
        begin = at + tagTexts[tag].length
      } else if (this.#byText.some((name) => tagTexts[name].startsWith(text.slice(at)))) {
        this.#held = text.slice(at)
        return at > begin ? [...pieces, { text: text.slice(begin, at) }] : pieces
      }
    }
    return [...pieces, ...this.#flush(text.slice(begin))]
  }
}
