// The values of the last minute as a line, the newest at the right.

const width = 160
const height = 40
const places = 60

export function Sparkline({ values, name }: { values: readonly number[]; name: string }) {
  const most = Math.max(1, ...values)
  const x = (i: number) => ((places - values.length + i) * width) / (places - 1)
  const y = (value: number) => height - 2 - (value / most) * (height - 4)
  const line = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" ")
  const area = `${x(0).toFixed(1)},${height} ${line} ${width},${height}`
  return (
    <svg className="sparkline" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={name}>
      <polygon points={area} />
      <polyline points={line} />
    </svg>
  )
}
