// Shows what this machine offers, what it lacks, and what to do about it.

import type { Command } from "commander"
import { availableMemory } from "../context.ts"
import { planMemory } from "../model/memory.ts"
import type { MemoryPlan } from "../model/memory.ts"
import { messageOf } from "../util/errors.ts"
import { modelsFolder } from "../weights/store.ts"
import { fullSize } from "./full-size.ts"
import { freeDisk, hugePages, processor, totalMemory } from "./machine.ts"
import type { Processor } from "./machine.ts"
import { addJsonOption } from "./options.ts"
import { paint, print, printJson } from "./output.ts"
import { count, fileSize, memorySize } from "./units.ts"

/** What `--json` prints. */
interface Findings {
  node: string
  platform: string
  processor: Processor
  addon: Addon
  memory: { totalBytes: number; availableBytes: number }
  /** Of anonymous memory; null where the system does not say. */
  hugePages: string | null
  models: { folder: string; freeBytes: number }
  readBandwidthGBs: number | null
  /** Whether Qwen3-30B-A3B at 4 bits fits, with a context of `contextTokens`. */
  fullSize: MemoryPlan & { contextTokens: number }
  advice: string[]
}

interface Addon {
  status: "found" | "missing"
  /** That this processor has kernels for, best first. */
  instructionSets: string[]
  /** Why it is missing, and what to do. */
  problem?: string
}

/** Long enough for a thought and its answer. */
const usefulContext = 32_768
/** What measuring the bandwidth takes for a moment, with some room. */
const bandwidthBytes = 3 * 2 ** 30

export function define(command: Command): void {
  addJsonOption(command).action(doctor)
}

async function doctor({ json }: { json?: boolean }): Promise<void> {
  const found = await examine()
  if (json) printJson(found)
  else show(found)
}

async function examine(): Promise<Findings> {
  const { addon, readBandwidthGBs } = await examineAddon()
  const memory = { totalBytes: totalMemory(), availableBytes: availableMemory() }
  const folder = modelsFolder()
  const { availableBytes } = memory
  const plan = planMemory({ config: fullSize, contextTokens: usefulContext, availableBytes })
  const findings = {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    processor: processor(),
    addon,
    memory,
    hugePages: hugePages() ?? null,
    models: { folder, freeBytes: freeDisk(folder) },
    readBandwidthGBs,
    fullSize: { contextTokens: usefulContext, ...plan },
  }
  return { ...findings, advice: adviceFor(findings) }
}

async function examineAddon(): Promise<{ addon: Addon; readBandwidthGBs: number | null }> {
  const { instructionSets, loadCpuBackend } = await import("../backend/cpu/cpu.ts")
  try {
    const addon: Addon = { status: "found", instructionSets: instructionSets() }
    if (availableMemory() < bandwidthBytes) return { addon, readBandwidthGBs: null }
    const backend = loadCpuBackend()
    const readBandwidthGBs = (await backend.roof("memory")) / 1e9
    backend.free()
    return { addon, readBandwidthGBs }
  } catch (error) {
    const addon: Addon = { status: "missing", instructionSets: [], problem: messageOf(error) }
    return { addon, readBandwidthGBs: null }
  }
}

/** One sentence per thing that is worth doing. */
function adviceFor({ addon, hugePages, models, fullSize: plan, memory }: Omit<Findings, "advice">): string[] {
  const advice: string[] = []
  if (addon.problem) advice.push(addon.problem)
  if (hugePages === "never")
    advice.push(
      "huge pages are off, which slows reading down: as root, echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )
  if (models.freeBytes < plan.weightBytes)
    advice.push(
      `${models.folder} has room for ${fileSize(models.freeBytes)}, a 4-bit Qwen3-30B-A3B takes ${fileSize(plan.weightBytes)}: ` +
        "make room, or set A3B_HOME to a folder on another disk",
    )
  if (!plan.fits) advice.push(memoryAdvice(plan, memory.totalBytes))
  return advice
}

function memoryAdvice(
  { totalBytes, availableBytes, largestContextTokens }: MemoryPlan,
  installed: number,
): string {
  const needed = `Qwen3-30B-A3B with ${count(usefulContext)} tokens needs ${memorySize(totalBytes)}`
  if (largestContextTokens > 0)
    return `${needed}, ${memorySize(availableBytes)} are available: use --context ${largestContextTokens} or less`
  const next = totalBytes < installed ? "close other programs" : "it needs a machine with more memory"
  return `${needed}, ${memorySize(availableBytes)} are available: ${next}`
}

function show(found: Findings): void {
  const { processor, addon, memory, models, readBandwidthGBs, fullSize: plan } = found
  line("good", "node", `${found.node} on ${found.platform}`)
  line("good", "processor", `${processor.model}, ${processor.threads} threads`)
  if (processor.features.length > 0) line("good", "features", processor.features.join(" "))
  if (addon.status === "found")
    line("good", "native addon", `kernels for ${addon.instructionSets.join(", ")}`)
  else line("bad", "native addon", "missing; the slow reference backend is used")
  line("good", "memory", `${memorySize(memory.availableBytes)} of ${memorySize(memory.totalBytes)} available`)
  if (found.hugePages) line(found.hugePages === "never" ? "bad" : "good", "huge pages", found.hugePages)
  if (readBandwidthGBs !== null) line("good", "read rate", `${readBandwidthGBs.toFixed(1)} GB/s of memory`)
  line(
    models.freeBytes < plan.weightBytes ? "bad" : "good",
    "models",
    `${models.folder}, ${fileSize(models.freeBytes)} free`,
  )
  const fit =
    plan.largestContextTokens > 0 ? `up to ${count(plan.largestContextTokens)} tokens` : "does not fit"
  line(plan.fits ? "good" : "bad", "full size", `Qwen3-30B-A3B at 4 bits: ${fit}`)
  for (const sentence of found.advice) print(`\n${sentence}`)
}

function line(mark: "good" | "bad", name: string, text: string): void {
  const sign = mark === "good" ? paint("green", "+") : paint("yellow", "!")
  print(`${sign} ${name.padEnd(13)} ${text}`)
}
