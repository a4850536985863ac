import tseslint from "typescript-eslint"

export default tseslint.config(
  { ignores: ["dist/", "build/", "docs/api/", "node_modules/"] },
  ...tseslint.configs.recommended,
  {
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-console": "error",
    },
  },
  { files: ["src/cli/**", "scripts/**", "bench/**", "examples/**"], rules: { "no-console": "off" } },
)
