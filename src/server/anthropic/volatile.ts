// Step 1. Lines that some clients put before the system prompt for their maker's billing, different with each request:
// kept, they would make every prompt begin anew, and the model has no use for them.

/** Claude Code's `x-anthropic-billing-header: cc_version=...; cch=...;` */
const volatileLine = /^x-anthropic-billing-header:.*(?:\n|$)/gim

export function withoutVolatileLines(system: string): string {
  return system.replace(volatileLine, "")
}
