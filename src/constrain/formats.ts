// Between steps 1 and 4. Formats of strings that JSON Schema names, as patterns. Each pattern takes only what its
// standard takes, and of that what is common: a day of February is one that every year has.

const day =
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
const date = `[0-9]{4}-${day}`
const time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?"
const offset = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
const byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
const label = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"

/** Other formats are annotations, as JSON Schema has it (2020-12 validation, section 7.2.1). */
export const formats: ReadonlyMap<string, string> = new Map([
  ["date", date],
  ["time", time + offset],
  ["date-time", `${date}T${time}${offset}`],
  ["uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"],
  ["ipv4", `${byte}(?:\\.${byte}){3}`],
  ["email", `[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@(?:${label}\\.)+[A-Za-z]{2,}`],
])
