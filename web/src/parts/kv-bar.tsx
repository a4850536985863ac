// The memory of keys and values, by how its pages are kept.

import type { EngineReport } from "../api/engine.ts"
import { useTexts } from "../texts.ts"

type Engine = NonNullable<EngineReport["engine"]>

export function KvBar({ kv, load }: Pick<Engine, "kv" | "load">) {
  const t = useTexts()
  const tiers = Object.entries(kv.tiers) as [keyof typeof kv.tiers, number][] // its own keys
  return (
    <section>
      <h3>{t.kvMemory}</h3>
      <p className="figure">{bytesText(kv.bytes)}</p>
      <svg className="kv" viewBox={`0 0 ${load.pages} 1`} preserveAspectRatio="none" aria-hidden="true">
        {tiers.map(([tier, pages], i) => (
          <rect
            key={tier}
            data-tier={tier}
            x={tiers.slice(0, i).reduce((sum, [, before]) => sum + before, 0)}
            width={pages}
            height={1}
          />
        ))}
      </svg>
      <ul className="legend">
        {tiers.map(([tier, pages]) => (
          <li key={tier} data-tier={tier}>
            <span className="swatch" aria-hidden="true" />
            <span>{t.tierNames[tier]}</span>
            <span className="took">{t.pages(pages)}</span>
          </li>
        ))}
      </ul>
      <p className="quiet">{t.pagesOf(load.usedPages, load.pages)}</p>
      {kv.savedBytes > 0 && <p className="quiet">{t.savedBytes(bytesText(kv.savedBytes))}</p>}
    </section>
  )
}

/** `1.5 GiB` */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 2 ** (10 * unit)
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`
}
