// Step 6. The run's tokenizer: trained once on the world's text, or that of the model to go on from, and kept as files,
// then opened to encode traces. Knows the world's template; never models.

import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { readFormat } from "../chat/format.ts"
import { ChatTemplate } from "../chat/template.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import {
  generationConfigFile,
  readFiles,
  readTokenizerFiles,
  templateFile,
  tokenizerConfigFile,
  tokenizerFiles,
} from "../weights/files.ts"
import { trainOnProblems } from "./bpe-corpus.ts"
import type { EncodeTrace } from "./dataset.ts"
import type { Recipe } from "./recipe.ts"
import type { RunFolder } from "./run-folder.ts"
import { seedOf } from "./seeds.ts"
import { writeTokenizer } from "./tokenizer-files.ts"
import { encodeTrace } from "./world/conversation.ts"
import { nanoTemplate } from "./world/template.ts"
import { problems } from "./world/world.ts"

/** The run's tokenizer, as a folder in its own. */
export const tokenizerFolder = "tokenizer"
/** How replies are drawn where a request does not say: the likeliest token, for the world has right answers. */
const drawing = { temperature: 0, topP: 1, topK: 0 }

export interface RunTokenizer {
  /** Number of ids. */
  readonly size: number
  readonly encode: EncodeTrace
}

export async function openTokenizer(folder: RunFolder, recipe: Recipe): Promise<RunTokenizer> {
  if (!folder.has(tokenizerFolder)) await makeTokenizer(folder, recipe)
  const files = readTokenizerFiles(folder.at(tokenizerFolder))
  const tokenizer = loadTokenizer(files)
  const { template } = readFormat(files)
  return {
    size: tokenizer.size,
    encode: (problem, mode, promptWeight) =>
      encodeTrace(tokenizer, template, problem, mode, { promptWeight }),
  }
}

async function makeTokenizer(folder: RunFolder, recipe: Recipe): Promise<void> {
  const files = recipe.from === undefined ? trainedFiles(recipe) : givenFiles(recipe.from)
  await folder.writeFolder(tokenizerFolder, (path) => {
    for (const [name, content] of files) writeFileSync(join(path, name), content)
  })
}

/** The vocabulary of a model's folder; how conversations are written is the world's, whatever file the folder has it in. */
function givenFiles(from: string): [string, string][] {
  const files = [...readFiles(from, [generationConfigFile, ...tokenizerFiles])]
  return files
    .filter(([name]) => name !== templateFile)
    .map(([name, bytes]) => {
      const text = new TextDecoder().decode(bytes)
      if (name !== tokenizerConfigFile) return [name, text]
      return [
        name,
        JSON.stringify({ ...(JSON.parse(text) as object), chat_template: nanoTemplate }, undefined, 2),
      ]
    })
}

function trainedFiles({ tokenizer, seed, models }: Recipe): [string, string][] {
  const bpe = trainOnProblems({
    problems: problems({ split: "train", seed: seedOf(seed, 3) }),
    numProblems: tokenizer.problems,
    template: ChatTemplate.compile(nanoTemplate),
    vocabulary: tokenizer.vocabulary,
  })
  const maxPositions = Number(models.student.max_position_embeddings)
  return Object.entries(writeTokenizer(bpe, { chatTemplate: nanoTemplate, maxPositions, ...drawing }))
}
