// A folder of a test file's own, in which packed models are stored as well; gone when the file is through.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"

/** The folder's path. To be called where tests are declared. */
export function ownHome(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `a3b-${name}-`))
  const home = process.env.A3B_HOME
  beforeAll(() => void (process.env.A3B_HOME = join(folder, "home")))
  afterAll(() => {
    if (home === undefined) delete process.env.A3B_HOME
    else process.env.A3B_HOME = home
    rmSync(folder, { recursive: true })
  })
  return folder
}
