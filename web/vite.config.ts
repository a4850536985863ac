// Builds the page into dist/web, beside the compiled server that sends it.

import { defineConfig } from "vite"
import type { Plugin } from "vite"

/** KaTeX names each font in three formats; every browser that runs this page reads the first. */
const onlyWoff2: Plugin = {
  name: "only-woff2",
  enforce: "pre",
  transform(code, id) {
    if (id.endsWith("katex.min.css")) return code.replace(/,url\([^)]*\.(woff|ttf)\) format\("\w+"\)/g, "")
  },
}

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [onlyWoff2],
  build: {
    outDir: "../dist/web",
    emptyOutDir: true,
    // The page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" },
    reportCompressedSize: false,
    target: "es2023",
  },
  // `npx vite web` beside `a3b serve`.
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/api": "http://127.0.0.1:8080" } },
})
