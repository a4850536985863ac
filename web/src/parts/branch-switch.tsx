// Which of the turns that stand in one place is read, and the way to the others.

import { following } from "../state/conversation.ts"
import type { Conversation, Turn } from "../state/conversation.ts"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { IconButton } from "./icon-button.tsx"

export function BranchSwitch({ turn, conversation }: { turn: Turn; conversation: Conversation }) {
  const t = useTexts()
  const { dispatch } = usePage()
  const branches = following(conversation, turn.parent)
  const number = branches.findIndex(({ id }) => id === turn.id)
  if (branches.length < 2) return null
  const choose = (other: Turn) => dispatch({ type: "chosen", conversation: conversation.id, turn: other })
  return (
    <span className="branches">
      <IconButton
        icon="left"
        name={t.previousBranch}
        disabled={number === 0}
        onClick={() => choose(branches[number - 1])}
      />
      <span>{t.branch(number + 1, branches.length)}</span>
      <IconButton
        icon="right"
        name={t.nextBranch}
        disabled={number === branches.length - 1}
        onClick={() => choose(branches[number + 1])}
      />
    </span>
  )
}
