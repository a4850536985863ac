// Step 6. Who it is, hello, thanks, and what it was never trained on: honest sentences. Nothing here has numbers; the
// question itself, or the subject it asks about, decides the split.

import { all, matches } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import type { Check, Stage } from "../script.ts"
import { drawIn, membersIn } from "../split.ts"
import { cities } from "../vocabulary.ts"

const isHonest = all(
  matches(/nano/, "does not say its name"),
  matches(/small|小/, "does not say that it is small"),
)
const isModest = matches(/only trained|只(学|训练)/, "does not say what it was trained on")

const kinds = {
  identity: {
    en: {
      ask: "[Who are you|What are you|What is your name|Tell me about yourself|Are you a person|Are you ChatGPT|Which model is this|Who made you|What can you do|Introduce yourself|Are you Qwen|Hi, who are you|Who am I talking to|Hello, what are you][?|.|]",
      thought: "Who I am.",
      says: "I am nano, a small model trained by the a3b project on a narrow synthetic world: word problems, tools, recall.",
    },
    zh: {
      ask: "[你是谁|你叫什么名字|介绍一下你自己|你是什么模型|你会做什么|你是人吗|你是ChatGPT吗|谁训练了你|你好，你是谁|你是通义千问吗|你能做什么|我在和谁说话][?|。|]",
      thought: "我是谁。",
      says: "我是nano,a3b项目训练的小模型，只学过一个很窄的合成世界：应用题、工具、记忆。",
    },
    check: isHonest,
  },
  greeting: {
    en: {
      ask: "[Hello|Hi|Hey|Good morning|Good evening|Hi there|Hello there|Good afternoon|Hey nano|Greetings|Hello nano][!|.|, how are you?|]",
      thought: "A greeting.",
      says: "Hello! How can I help?",
    },
    zh: {
      ask: "[你好|您好|早上好|晚上好|嗨|下午好|大家好|你好呀|哈喽|你好nano][!|。|,最近好吗?|]",
      thought: "打招呼。",
      says: "你好！有什么可以帮你?",
    },
    check: matches(/^(hello|hi|你好)/i, "does not greet"),
  },
  thanks: {
    en: {
      ask: "[Thanks|Thank you|Thanks a lot|Many thanks|Thank you very much|Great, thanks|That helped, thanks|Good job|Well done|Bye|Goodbye|See you][!|.|]",
      thought: "Thanks.",
      says: "You are welcome!",
    },
    zh: {
      ask: "[谢谢|谢谢你|非常感谢|多谢|太好了，谢谢|感谢|辛苦了|谢谢帮忙|再见|做得好][!|。|]",
      thought: "道谢。",
      says: "不客气！",
    },
    check: matches(/welcome|不客气/, "does not answer the thanks"),
  },
} as const

const subjects = {
  en: (
    "history music football politics chess poetry physics medicine law painting stars volcanoes dinosaurs films novels " +
    "philosophy religion biology gardening fashion the_stock_market World_War_II black_holes Shakespeare photography " +
    "electric_cars vaccines jazz the_moon evolution sailing castles wine elections robots whales opera ancient_Rome"
  )
    .split(" ")
    .map((word) => word.replaceAll("_", " ")),
  zh: "历史 音乐 足球 政治 围棋 诗歌 物理 医学 法律 绘画 恐龙 电影 小说 哲学 生物 园艺 时装 股票 黑洞 摄影 疫苗 月球 进化 红酒 选举 鲸鱼 歌剧 京剧 唐朝 量子力学".split(
    " ",
  ),
}
const outside = {
  en: {
    subject:
      "[Tell me about {x}|What do you know about {x}|Explain {x} to me|Write an essay about {x}|Can you teach me {x}|Who invented {x}|Why do people like {x}][?|.]",
    city: "[What is {x} known for|How many people live in {x}|Which country is {x} in|What should I see in {x}|Who is the mayor of {x}|When was {x} founded][?|.]",
  },
  zh: {
    subject: "[给我讲讲{x}|你了解{x}吗|解释一下{x}|写一篇关于{x}的文章|你能教我{x}吗][?|。]",
    city: "[{x}有什么好玩的|{x}有多少人口|{x}以什么闻名|介绍一下{x}|{x}的市长是谁][?|。]",
  },
}

export function smallTalk(random: Random, split: Split, language: Language): Problem {
  const kind = kinds[random.pick(["identity", "identity", "greeting", "thanks"] as const)]
  const { ask, thought, says } = kind[language]
  const contentOf = (question: string) => `talk:${question}`
  const question = drawIn(split, random, (r) => phrase(r, ask), contentOf)
  return talk(language, question, contentOf(question), said(thought, says, kind.check))
}

export function outsideQuestion(random: Random, split: Split, language: Language): Problem {
  const about = random.chance(0.7) ? "subject" : "city"
  const contentOf = (x: string) => `outside:${x}`
  const x = random.pick(membersIn(split, "outside", { subject: subjects, city: cities }[about][language]))
  const thought = { en: "Outside my world.", zh: "超出我的范围。" }[language]
  const says = {
    en: "I was only trained on word problems, tools and recall, so I do not know that.",
    zh: "我只学过应用题、工具和记忆，不知道这个。",
  }[language]
  return talk(
    language,
    phrase(random, outside[language][about], { x }),
    contentOf(x),
    said(thought, says, isModest),
  )
}

function said(thought: string, text: string, check: Check): Stage {
  return { kind: "say", thought, text, check }
}

function talk(language: Language, question: string, content: string, stage: Stage): Problem {
  return problemOf({
    task: "dialogue",
    language,
    content: [content],
    messages: [{ role: "user", content: question }],
    stages: [stage],
  })
}
