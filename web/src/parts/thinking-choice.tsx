// Whether the model thinks before it answers, and for how many tokens at most; as far as the checkpoint leaves a choice.

import { settingsOf } from "../state/reducer.ts"
import type { ChatSettings } from "../state/settings.ts"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { Icon } from "./icon.tsx"

export function ThinkingChoice() {
  const t = useTexts()
  const { state, dispatch, engine } = usePage()
  const { thinking, budgetTokens } = settingsOf(state)
  const family = engine.report?.engine?.family ?? "hybrid"
  const change = (settings: Partial<ChatSettings>) => dispatch({ type: "settings-changed", settings })
  if (family === "plain") return <span className="quiet">{t.neverThinks}</span>
  return (
    <>
      <label className="pill" title={family === "thinking" ? t.alwaysThinks : undefined}>
        <Icon name="thought" />
        <span>{t.thinking}</span>
        <select
          id="thinking"
          value={family === "thinking" && thinking === "off" ? "on" : thinking}
          onChange={({ target }) => change({ thinking: target.value as ChatSettings["thinking"] })} // its options
        >
          <option value="on">{t.thinkingOn}</option>
          {family === "hybrid" && <option value="off">{t.thinkingOff}</option>}
          <option value="budget">{t.thinkingBudget}</option>
        </select>
      </label>
      {thinking === "budget" && (
        <input
          className="budget"
          type="number"
          aria-label={t.budgetTokens}
          title={t.budgetTokens}
          min={0}
          max={100_000}
          step={256}
          value={budgetTokens}
          onChange={({ target }) =>
            change({ budgetTokens: Math.max(0, Math.floor(target.valueAsNumber) || 0) })
          }
        />
      )}
    </>
  )
}
