// The environment variables that a3b reads, in one list: what the help says about them comes from here.

const variables: Record<string, string> = {
  A3B_HOME: "folder that holds models/, in place of a3b in the user's cache folder",
  A3B_ISA: "force one instruction set of the cpu backend; a3b doctor lists them",
  A3B_API_KEY: "key of the server that --remote names",
  A3B_DEBUG: "1 shows the stack of an error",
  HF_TOKEN: "access token, for models on Hugging Face that ask for one",
  HF_ENDPOINT: "base URL in place of https://huggingface.co",
  MODELSCOPE_ENDPOINT: "base URL in place of https://modelscope.cn",
  NO_COLOR: "any value turns colours off",
}

/** Whether errors are shown with their stack. */
export function isDebugging(): boolean {
  return (process.env.A3B_DEBUG ?? "0") !== "0"
}

export function variablesHelp(): string {
  const width = Math.max(...Object.keys(variables).map((name) => name.length))
  const lines = Object.entries(variables).map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`)
  return ["Environment:", ...lines].join("\n")
}
