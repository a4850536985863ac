// What every part of the page has at hand: its state, the way to change it, and the model's side of the conversation.

import { createContext, use } from "react"
import type { Dispatch } from "react"
import type { Conversation } from "./state/conversation.ts"
import type { Action, State } from "./state/reducer.ts"
import type { ChatActions } from "./use-chat.ts"
import type { EngineView } from "./use-engine.ts"

export interface PageView {
  state: State
  dispatch: Dispatch<Action>
  chat: ChatActions
  engine: EngineView
}

const PageContext = createContext<PageView | undefined>(undefined)

export const PageProvider = PageContext.Provider

export function usePage(): PageView {
  const page = use(PageContext)
  if (!page) throw new Error("a part of the page outside of it")
  return page
}

/** The conversation on the screen; nothing while it is a new one. */
export function useConversation(): Conversation | undefined {
  const { open, conversations } = usePage().state
  return open === null ? undefined : conversations[open]
}
