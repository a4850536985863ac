// Numbers as people read them. Files and rates count in powers of 1000, as hubs and disks do; memory in powers of
// 1024, as its makers do.

export function fileSize(bytes: number): string {
  return scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB"])
}

export function memorySize(bytes: number): string {
  return scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB"])
}

function scaled(bytes: number, base: number, units: readonly string[]): string {
  let value = bytes
  let unit = 0
  for (; Math.abs(value) >= base && unit < units.length - 1; unit++) value /= base
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`
}

/** `3.2 s`, `4 min 05 s`, `2 h 10 min` */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, "0")
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`
}

export function count(value: number): string {
  return value.toLocaleString("en-US")
}
