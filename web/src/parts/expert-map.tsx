// Which experts are at work: a row for each layer, a column for each expert, brighter the more tokens it was given of
// late. What came with older reports fades, so that the picture lives as the replies do.

import { useEffect, useMemo, useRef, useState } from "react"
import { useTexts } from "../texts.ts"
import { fadedCounts, shareText } from "./expert-counts.ts"
import type { Counts } from "./expert-counts.ts"

/** Pixels of the picture for a layer's and an expert's place; the browser scales it. */
const cell = { width: 3, height: 5 }

export function ExpertMap({ experts }: { experts: Counts }) {
  const t = useTexts()
  const canvas = useRef<HTMLCanvasElement>(null)
  const [at, setAt] = useState<{ layer: number; expert: number }>()
  const recent = useRecent(experts)
  const numExperts = experts[0]?.length ?? 0
  useEffect(() => {
    if (canvas.current) draw(canvas.current, recent)
  }, [recent])
  if (numExperts === 0) return null
  return (
    <section>
      <h3>{t.experts(numExperts)}</h3>
      <canvas
        ref={canvas}
        className="experts"
        role="img"
        aria-label={t.expertsLabel(experts.length, numExperts)}
        width={numExperts * cell.width}
        height={experts.length * cell.height}
        onPointerMove={({
          nativeEvent: { offsetX, offsetY },
          currentTarget: { clientWidth, clientHeight },
        }) =>
          setAt({
            layer: Math.min(
              experts.length - 1,
              Math.max(0, Math.floor((offsetY / clientHeight) * experts.length)),
            ),
            expert: Math.min(numExperts - 1, Math.max(0, Math.floor((offsetX / clientWidth) * numExperts))),
          })
        }
        onPointerLeave={() => setAt(undefined)}
      />
      <p className="quiet">
        {at ? t.expertAt(at.layer, at.expert, shareText(experts[at.layer], at.expert)) : t.expertsHint}
      </p>
    </section>
  )
}

/** The counts since the report before, beside what is left of older ones. */
function useRecent(experts: Counts): Counts {
  const before = useRef<{ counts: Counts; recent: Counts }>(undefined)
  const recent = useMemo(() => fadedCounts(before.current, experts), [experts])
  useEffect(() => {
    before.current = { counts: experts, recent }
  }, [experts, recent])
  return recent
}

function draw(canvas: HTMLCanvasElement, recent: Counts): void {
  const context = canvas.getContext("2d")
  if (!context) return
  const style = getComputedStyle(canvas)
  context.globalAlpha = 1
  context.fillStyle = style.backgroundColor
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = style.color
  for (const [layer, counts] of recent.entries()) {
    const most = Math.max(1e-9, ...counts)
    for (const [expert, count] of counts.entries()) {
      // A root: of 128 experts a few are asked most, and the others shall be seen too.
      context.globalAlpha = Math.sqrt(count / most)
      context.fillRect(expert * cell.width, layer * cell.height, cell.width - 0.5, cell.height - 1)
    }
  }
}
