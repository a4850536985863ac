// Step 9. The chat page as `npm run build` left it: files read once, and only those are ever sent, so that no path
// leads out of their folder. Knows files and headers; nothing of what the page does.

import { createHash } from "node:crypto"
import { existsSync, readFileSync, readdirSync } from "node:fs"
import { extname, join, sep } from "node:path"
import { fileURLToPath } from "node:url"

/** Where the build puts it, beside the compiled server. */
export const builtPage = fileURLToPath(new URL("../web", import.meta.url))

interface PageFile {
  bytes: Uint8Array<ArrayBuffer>
  headers: Readonly<Record<string, string>>
  etag: string
}

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
}

/** Nothing from elsewhere, no inline code: whatever a model writes, it can neither run nor call home. */
const security = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
}

export class Page {
  /** By path of the URL. */
  readonly #files = new Map<string, PageFile>()

  private constructor(folder: string) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      this.#files.set(path.slice(folder.length).replaceAll(sep, "/"), readPageFile(path))
    }
    const index = this.#files.get("/index.html")
    if (index) this.#files.set("/", index)
  }

  /** Nothing where no page was built. */
  static read(folder: string): Page | undefined {
    return existsSync(join(folder, "index.html")) ? new Page(folder) : undefined
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  /** Nothing where the page has no such file. */
  answer(request: Request): Response | undefined {
    const file = this.#files.get(new URL(request.url).pathname)
    if (!file) return undefined
    const { bytes, headers, etag } = file
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers })
    return new Response(bytes, { headers })
  }
}

function readPageFile(path: string): PageFile {
  const bytes = new Uint8Array(readFileSync(path))
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`
  const headers = {
    ...security,
    "content-type": types[extname(path)] ?? "application/octet-stream",
    "content-length": String(bytes.length),
    // Names in assets/ have a hash of what is in them.
    "cache-control": path.includes(`${sep}assets${sep}`) ? "public, max-age=31536000, immutable" : "no-cache",
    etag,
  }
  return { bytes, headers, etag }
}
