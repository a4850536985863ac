// The staircase of ARCHITECTURE.md: a file imports its own step and the steps below, never above.
const steps = [
  ["types\\.ts$", "util/"],
  ["weights/", "tokenizer/", "chat/"],
  ["backend/"],
  ["model/"],
  ["engine/"],
  [
    "prepare\\.ts$",
    "session\\.ts$",
    "context\\.ts$",
    "generation-defaults\\.ts$",
    "stop-strings\\.ts$",
    "call-limit\\.ts$",
    "content-logprobs\\.ts$",
    "constrain/",
  ],
  ["llm\\.ts$", "remote/"],
  ["transformers/", "ai-sdk/", "index\\.ts$"],
  ["distill/", "server/"],
  ["eval/"],
  ["cli/"],
]
const at = (places) => `^src/(${places.join("|")})`
const tests = "\\.test\\.ts$"
const forbid = (name, from, to) => ({ name, severity: "error", from: { pathNot: tests, ...from }, to })

module.exports = {
  forbidden: [
    forbid("no-cycles", {}, { circular: true }),
    ...steps
      .slice(0, -1)
      .map((places, i) =>
        forbid(
          `step-${i}-imports-only-downward`,
          { path: at(places) },
          { path: at(steps.slice(i + 1).flat()) },
        ),
      ),
    // A file that no step names, as importer and as imported.
    forbid("every-file-has-a-step", { path: "^src/", pathNot: [at(steps.flat()), tests] }, {}),
    forbid("every-import-has-a-step", {}, { path: "^src/", pathNot: [at(steps.flat()), tests] }),
    forbid("types-import-nothing", { path: "^src/types\\.ts$" }, {}),
    forbid(
      "step-1-rooms-do-not-know-each-other",
      { path: "^src/(weights|tokenizer|chat)/" },
      { path: "^src/(weights|tokenizer|chat)/", pathNot: "^src/$1/" },
    ),
    forbid(
      "model-and-engine-know-no-backend-but-the-contract",
      { path: "^src/(model|engine)/" },
      { path: "^src/backend/", pathNot: "^src/backend/backend\\.ts$" },
    ),
    forbid(
      "backends-do-not-know-each-other",
      { path: "^src/backend/(cpu|reference)/" },
      { path: "^src/backend/(cpu|reference)/", pathNot: "^src/backend/$1/" },
    ),
    forbid(
      "backends-know-only-the-layouts-and-numbers-of-weights",
      { path: "^src/backend/" },
      { path: "^src/weights/", pathNot: "^src/weights/(format|half|layout|file)\\.ts$" },
    ),
    forbid(
      "these-rooms-run-in-a-browser",
      { path: "^src/(types\\.ts$|tokenizer/|chat/|model/|engine/|distill/world/)" },
      { dependencyTypes: ["core"] },
    ),
    forbid(
      "the-world-knows-nothing-but-types-and-errors",
      { path: "^src/distill/world/" },
      { path: "^src/", pathNot: "^src/(distill/world/|types\\.ts$|util/)" },
    ),
    forbid(
      "distill-and-server-do-not-know-each-other",
      { path: "^src/(distill|server)/" },
      { path: "^src/(distill|server)/", pathNot: "^src/$1/" },
    ),
    forbid(
      "eval-knows-only-the-world-of-distill",
      { path: "^src/eval/" },
      { path: "^src/distill/", pathNot: "^src/distill/world/" },
    ),
    forbid(
      "the-libraries-of-the-server-stay-in-server",
      { path: "^src/", pathNot: ["^src/server/", tests] },
      { path: "node_modules/(hono|@hono|zod|prom-client)/" },
    ),
    forbid(
      "the-server-is-loaded-when-needed",
      { path: "^src/", pathNot: ["^src/(server/|cli/(serve|key)\\.ts$)", tests] },
      { path: "^src/server/" },
    ),
    forbid(
      "a-model-elsewhere-needs-nothing-of-the-one-here",
      { path: "^src/remote/" },
      { path: "^src/", pathNot: "^src/(remote/|chat/|call-limit\\.ts$|types\\.ts$|util/)" },
    ),
    forbid(
      "the-ai-sdk-is-types-only-and-stays-in-its-entry",
      { path: "^src/", pathNot: tests },
      { path: "@ai-sdk/", dependencyTypesNot: ["type-only"] },
    ),
    forbid("the-command-line-library-stays-in-cli", { pathNot: ["^src/cli/", tests] }, { path: "commander" }),
    forbid(
      "the-hub-is-loaded-when-needed",
      {},
      { path: "@huggingface/hub", dependencyTypesNot: ["dynamic-import"] },
    ),
    forbid(
      "tests-and-tools-are-not-shipped",
      { path: "^src/" },
      { path: "^(test|bench|scripts|examples)/|\\.test\\.ts$" },
    ),
    forbid(
      "dev-dependencies-are-not-shipped",
      { path: "^src/" },
      { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm-peer", "type-only"] },
    ),
    forbid(
      "xgrammar-is-loaded-when-needed",
      { path: "^src/", pathNot: tests },
      { path: "^src/constrain/xgrammar\\.ts$", dependencyTypesNot: ["dynamic-import", "type-only"] },
    ),
    forbid("no-file-stands-alone", { orphan: true }, {}),
    forbid("imports-lead-somewhere", {}, { couldNotResolve: true }),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    // Packages whose parts are named by their "exports" only.
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
}
