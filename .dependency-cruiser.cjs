// The staircase of ARCHITECTURE.md: a room imports its own step and the steps below, never above.
const steps = [
  ["types\\.ts$", "util/"],
  ["weights/", "tokenizer/", "chat/"],
  ["backend/"],
  ["model/"],
  ["engine/"],
  ["llm\\.ts$", "prepare\\.ts$", "transformers/", "index\\.ts$"],
  ["cli/"],
]
const at = (rooms) => `^src/(${rooms.join("|")})`
const tests = "\\.test\\.ts$"
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    ...steps.slice(0, -1).map((rooms, i) => ({
      name: `step-${i}-imports-only-downward`,
      severity: "error",
      from: { path: at(rooms), pathNot: tests },
      to: { path: at(steps.slice(i + 1).flat()) },
    })),
    {
      name: "model-and-engine-know-no-backend-but-the-contract",
      severity: "error",
      from: { path: "^src/(model|engine)/", pathNot: tests },
      to: { path: "^src/backend/", pathNot: "^src/backend/backend\\.ts$" },
    },
    {
      name: "step-1-rooms-do-not-know-each-other",
      severity: "error",
      from: { path: "^src/(weights|tokenizer|chat)/", pathNot: tests },
      to: { path: "^src/(weights|tokenizer|chat)/", pathNot: "^src/$1/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
}
