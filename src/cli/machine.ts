// What this machine has: processor, memory, page settings, disk. Reads what the system says; decides nothing.

import { readFileSync, statfsSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import { dirname } from "node:path"
import { systemCode } from "../util/errors.ts"

export interface Processor {
  model: string
  /** Threads that run at once. */
  threads: number
  /** Of the features that the kernels have a use for, those that are here; known on Linux only. */
  features: string[]
}

const usefulFeatures = [
  "avx2",
  "avx_vnni",
  "avx512f",
  "avx512_vnni",
  "avx512_bf16",
  "amx_int8",
  "amx_bf16",
  "asimd",
  "asimddp",
  "i8mm",
]

export function processor(): Processor {
  const flags = new Set(
    /^(?:flags|Features)\s*:(.*)$/m.exec(readSystemFile("/proc/cpuinfo"))?.[1].split(/\s+/),
  )
  return {
    model: cpus()[0]?.model.trim() || process.arch,
    threads: availableParallelism(),
    features: usefulFeatures.filter((feature) => flags.has(feature)),
  }
}

/** A container's limit, or what is installed. */
export function totalMemory(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(totalmem(), limit) : totalmem()
}

/** When the system uses huge pages for anonymous memory: always, madvise, never; undefined where it does not say. */
export function hugePages(): string | undefined {
  return /\[(\w+)\]/.exec(readSystemFile("/sys/kernel/mm/transparent_hugepage/enabled"))?.[1]
}

/** Free bytes of the disk that a folder lies on, or would lie on. */
export function freeDisk(folder: string): number {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = statfsSync(path)
      return bavail * bsize
    } catch (error) {
      if (systemCode(error) !== "ENOENT" || dirname(path) === path) throw error
    }
  }
}

/** Empty where there is no such file, as on every system but Linux. */
function readSystemFile(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
