// How replies of this conversation, and of those begun later, are asked for; below, how the page looks.

import type { Preferences } from "../state/preferences.ts"
import { settingsOf } from "../state/reducer.ts"
import { exampleTools, readTools, samplingFields } from "../state/settings.ts"
import type { ChatSettings, SamplingField } from "../state/settings.ts"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { Panel } from "./panel.tsx"

export function SettingsPanel() {
  const t = useTexts()
  const { state, dispatch } = usePage()
  const settings = settingsOf(state)
  const change = (some: Partial<ChatSettings>) => dispatch({ type: "settings-changed", settings: some })
  return (
    <Panel name={t.settings}>
      <label className="field">
        <span>{t.systemPrompt}</span>
        <textarea
          id="system"
          rows={4}
          value={settings.system}
          onChange={({ target }) => change({ system: target.value })}
        />
      </label>
      <Sampling settings={settings} change={change} />
      <Tools settings={settings} change={change} />
      <Appearance />
    </Panel>
  )
}

interface PartProps {
  settings: ChatSettings
  change: (some: Partial<ChatSettings>) => void
}

function Sampling({ settings: { sampling }, change }: PartProps) {
  const t = useTexts()
  const set = (name: SamplingField, value: number) => {
    const { [name]: _before, ...rest } = sampling
    change({ sampling: Number.isFinite(value) ? { ...rest, [name]: value } : rest })
  }
  return (
    <fieldset>
      <legend>{t.sampling}</legend>
      <div className="grid">
        {samplingFields.map(({ name, min, max, step }) => (
          <label key={name} className="field">
            <span>{t[name]}</span>
            <input
              type="number"
              name={name}
              {...{ min, max, step }}
              value={sampling[name] ?? ""}
              placeholder={t.asCheckpoint}
              onChange={({ target }) => set(name, target.valueAsNumber)}
            />
          </label>
        ))}
      </div>
      <button
        type="button"
        disabled={Object.keys(sampling).length === 0}
        onClick={() => change({ sampling: {} })}
      >
        {t.reset}
      </button>
    </fieldset>
  )
}

function Tools({ settings: { tools }, change }: PartProps) {
  const t = useTexts()
  const read = readTools(tools)
  return (
    <fieldset>
      <legend>{t.tools}</legend>
      <label className="field">
        <span className="quiet">{t.toolsHint}</span>
        <textarea
          id="tools"
          className="code-field"
          rows={tools === "" ? 2 : 10}
          spellCheck={false}
          aria-invalid={"wrong" in read}
          value={tools}
          onChange={({ target }) => change({ tools: target.value })}
        />
      </label>
      {"wrong" in read && (
        <p className="warning" role="alert">
          {t.toolsWrong(read.wrong)}
        </p>
      )}
      {tools === "" && (
        <button type="button" onClick={() => change({ tools: exampleTools })}>
          {t.toolsExample}
        </button>
      )}
    </fieldset>
  )
}

function Appearance() {
  const t = useTexts()
  const { state, dispatch } = usePage()
  const { theme, language, apiKey } = state.preferences
  const prefer = (preferences: Partial<Preferences>) => dispatch({ type: "preferences-changed", preferences })
  return (
    <fieldset>
      <legend>{t.appearance}</legend>
      <div className="grid">
        <label className="field">
          <span>{t.theme}</span>
          <select
            name="theme"
            value={theme}
            onChange={({ target }) => prefer({ theme: target.value as Preferences["theme"] })} // its options
          >
            <option value="system">{t.system}</option>
            <option value="light">{t.light}</option>
            <option value="dark">{t.dark}</option>
          </select>
        </label>
        <label className="field">
          <span>{t.language}</span>
          <select
            name="language"
            value={language}
            onChange={({ target }) => prefer({ language: target.value as Preferences["language"] })} // its options
          >
            <option value="en" lang="en">
              English
            </option>
            <option value="zh" lang="zh-Hans">
              中文
            </option>
          </select>
        </label>
      </div>
      <label className="field">
        <span>{t.apiKey}</span>
        <input
          type="password"
          autoComplete="off"
          value={apiKey}
          onChange={({ target }) => prefer({ apiKey: target.value.trim() })}
        />
        <span className="quiet">{t.apiKeyHint}</span>
      </label>
    </fieldset>
  )
}
