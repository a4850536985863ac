// Bytes of a response in, the data of its server-sent events out (WHATWG HTML, section 9.2.6), wherever the network
// cut them. Names and ids of events are not used here.

export async function* eventData(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = ""
  let data: string[] = []
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    // A "\r" at the end may be the first half of a line end.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (line === "" && data.length > 0) {
        yield data.join("\n")
        data = []
      } else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5))
    }
  }
}
