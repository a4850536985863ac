// What this engine is and does: how fast, how busy, where its memory is, and what it did not have to compute again.

import { hitShare } from "../api/engine.ts"
import type { EngineReport } from "../api/engine.ts"
import { useTexts } from "../texts.ts"
import { usePage } from "../use-page.ts"
import { ExpertMap } from "./expert-map.tsx"
import { KvBar } from "./kv-bar.tsx"
import { Panel } from "./panel.tsx"
import { Sparkline } from "./sparkline.tsx"

export function EnginePanel() {
  const t = useTexts()
  const { report, state } = usePage().engine
  return (
    <Panel name={t.engine}>
      {state === "gone" && (
        <p className="warning" role="alert">
          {t.engineGone}
        </p>
      )}
      {report && (
        <p className="engine-name">
          <span>{report.model}</span>
          <span className="badge" data-state={report.state}>
            {t.states[report.state]}
          </span>
        </p>
      )}
      {report && !report.engine && <p className="quiet">{t.unloadedHint}</p>}
      {report?.engine && <Figures engine={report.engine} />}
    </Panel>
  )
}

function Figures({ engine }: { engine: NonNullable<EngineReport["engine"]> }) {
  const t = useTexts()
  const { generated, prefilled } = usePage().engine
  const { load, kv, tokens, context, experts } = engine
  const share = hitShare(tokens)
  return (
    <>
      <Rate name={t.rate} rates={generated} />
      <Rate name={t.prefillRate} rates={prefilled} />
      <dl className="facts">
        <Fact name={t.running} value={load.running.toLocaleString("en-US")} />
        <Fact name={t.waiting} value={load.waiting.toLocaleString("en-US")} />
        <Fact name={t.context} value={context.toLocaleString("en-US")} />
      </dl>
      <ExpertMap experts={experts} />
      <KvBar kv={kv} load={load} />
      <section>
        <h3>{t.prefixHits}</h3>
        <p className="figure">{share === undefined ? t.none : `${Math.round(100 * share)} %`}</p>
        <meter aria-label={t.prefixHits} value={share ?? 0} />
        <p className="quiet">{t.prefixDetail(tokens.reused, tokens.prefilled)}</p>
      </section>
    </>
  )
}

function Rate({ name, rates }: { name: string; rates: readonly number[] }) {
  const t = useTexts()
  const now = (rates.at(-1) ?? 0).toFixed(1)
  return (
    <section>
      <h3>{name}</h3>
      <div className="rate">
        <p className="figure">{now}</p>
        <Sparkline values={rates} name={`${name}, ${t.lastMinute}`} />
      </div>
    </section>
  )
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}
