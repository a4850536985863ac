// Step 2. Python's `strftime` for templates that put today's date into the system prompt: names in English, as in
// Python's default locale, whatever the machine speaks.

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
]
const padded = (value: number, width = 2) => String(value).padStart(width, "0")

const directives: Record<string, (date: Date) => string> = {
  "%": () => "%",
  A: (date) => days[date.getDay()],
  a: (date) => days[date.getDay()].slice(0, 3),
  B: (date) => months[date.getMonth()],
  b: (date) => months[date.getMonth()].slice(0, 3),
  d: (date) => padded(date.getDate()),
  F: (date) => strftime(date, "%Y-%m-%d"),
  H: (date) => padded(date.getHours()),
  I: (date) => padded(date.getHours() % 12 || 12),
  j: (date) => padded(dayOfYear(date), 3),
  M: (date) => padded(date.getMinutes()),
  m: (date) => padded(date.getMonth() + 1),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  S: (date) => padded(date.getSeconds()),
  T: (date) => strftime(date, "%H:%M:%S"),
  Y: (date) => padded(date.getFullYear(), 4),
  y: (date) => padded(date.getFullYear() % 100),
}

/** Local time; a directive that is not known stays as written. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)(.)/g, (directive, dash: string, letter: string) => {
    const text = directives[letter]?.(date)
    return text === undefined ? directive : dash ? text.replace(/^0+(?=.)/, "") : text
  })
}

function dayOfYear(date: Date): number {
  const begin = Date.UTC(date.getFullYear(), 0, 1)
  return 1 + (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - begin) / 86_400_000
}
