// Until the first token comes: that something goes on, and for how long.

import { useEffect, useState } from "react"
import { useTexts } from "../texts.ts"

export function Waiting({ since }: { since: number }) {
  const t = useTexts()
  const [now, setNow] = useState(since)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200)
    return () => clearInterval(timer)
  }, [])
  const seconds = (now - since) / 1000
  return (
    <p className="waiting">
      <span className="pulse" aria-hidden="true" />
      {t.reading}
      {seconds >= 1 && <span className="quiet">{t.seconds(seconds)}</span>}
    </p>
  )
}
