// Step 6. The nouns and names of the world: tables only.

export interface Noun {
  readonly one: string
  readonly many: string
}

const nouns = (text: string): Noun[] =>
  text.split(" ").map((word) => {
    const [one, many = `${one}s`] = word.split("/")
    return { one, many }
  })
const words = (text: string): string[] => text.split(" ")

/** Where several nouns are one Chinese word, it has no plural. */
const same = (text: string): Noun[] => words(text).map((word) => ({ one: word, many: word }))

export const names = {
  en: words(
    "Tom Anna Ben Mia Leo Emma Sam Nina Max Lucy Paul Ella Jack Rosa Adam Zoe Carl Iris Hugo Lily Omar Vera Finn " +
      "Dana Ivan Ruth Noah Alma Eric June Otto Clara Felix Nora Peter Sara Oscar Maya Simon Tara Bob Alice Mary John",
  ),
  zh: words(
    "小明 小红 小华 小丽 小刚 小芳 小军 小兰 小李 小王 小张 小陈 小林 小杨 小赵 小周 小吴 小雨 小雪 小云 小龙 小梅 " +
      "小强 小美 小东 小北 明明 丽丽 冬冬 乐乐 贝贝 佳佳",
  ),
}

export const birds = {
  en: nouns("chicken duck goose/geese turkey hen bird pigeon rooster parrot swan crane ostrich/ostriches"),
  zh: same("鸡 鸭 鹅 火鸡 母鸡 鸽子 公鸡 鹦鹉 天鹅 鸵鸟"),
}

export const beasts = {
  en: nouns("sheep/sheep rabbit goat cow pig horse donkey dog cat lamb pony/ponies calf/calves llama hare"),
  zh: same("羊 兔子 兔 山羊 牛 猪 马 驴 狗 猫 小羊 奶牛 绵羊 小马"),
}

/** Things on wheels, by their number. */
export const vehicles = {
  en: {
    2: nouns("bicycle bike motorcycle scooter motorbike"),
    3: nouns("tricycle rickshaw trike"),
    4: nouns("car van taxi/taxis truck wagon"),
  },
  zh: { 2: same("自行车 摩托车 单车 电动车"), 3: same("三轮车 小三轮"), 4: same("汽车 轿车 出租车 货车") },
}

export const goods = {
  en: nouns(
    "pen pencil book apple pear orange lemon cup plate shirt hat ball kite candle notebook lamp bowl spoon stamp " +
      "sticker toy cake cookie melon peach/peaches egg brush/brushes box/boxes ticket card marble button bag scarf/scarves",
  ),
  zh: same(
    "钢笔 铅笔 本子 苹果 梨 橙子 柠檬 杯子 盘子 帽子 皮球 风筝 蜡烛 笔记本 台灯 碗 勺子 邮票 贴纸 玩具 蛋糕 饼干 " +
      "西瓜 桃子 鸡蛋 刷子 盒子 卡片 弹珠 纽扣 书包 围巾",
  ),
}

/** What a shop sends and takes back. */
export const products = {
  en: words(
    "kettle lamp chair jacket toaster camera backpack keyboard blender clock mirror heater tent radio printer " +
      "speaker mixer fan drill monitor wallet umbrella helmet sofa desk carpet pillow vase guitar watch",
  ),
  zh: words(
    "水壶 台灯 椅子 夹克 烤箱 相机 背包 键盘 闹钟 镜子 帐篷 音箱 风扇 手表 雨伞 头盔 书桌 枕头 花瓶 吉他",
  ),
}

export const movers = {
  en: words("train bus car truck boat cyclist runner plane ship van"),
  zh: words("火车 汽车 公交车 卡车 轮船 快艇 飞机 摩托车 高铁 面包车"),
}

export const cities = {
  en: words(
    "Oslo Paris Rome Cairo Lima Tokyo Delhi Berlin Madrid Dublin Vienna Prague Athens Boston Denver Lagos Quito " +
      "Seoul Hanoi Accra Bern Riga Porto Turin Lyon Leeds Perth Osaka Milan Sofia Tunis Havana",
  ),
  zh: words(
    "北京 上海 广州 深圳 杭州 成都 武汉 南京 西安 重庆 天津 苏州 长沙 青岛 大连 厦门 昆明 哈尔滨 沈阳 济南",
  ),
}

export const colours = {
  en: words("red blue green yellow black white brown grey pink purple orange silver golden"),
  zh: words("红色 蓝色 绿色 黄色 黑色 白色 棕色 灰色 粉色 紫色 橙色 银色 金色"),
}

export const places = {
  en: words(
    "door box room locker drawer safe garage gate cabin tower vault office cellar chest case shelf desk bag car boat",
  ),
  zh: words(
    "门 箱子 房间 柜子 抽屉 保险箱 车库 大门 小屋 塔楼 仓库 办公室 地窖 盒子 架子 书桌 包 汽车 小船 钱柜",
  ),
}
