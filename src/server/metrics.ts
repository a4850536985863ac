// Beside the path. Counts and times of the replies, as Prometheus reads them; the ones that routers of clusters look
// at also under the names that vLLM gives them.

import { Counter, Gauge, Histogram, Registry } from "prom-client"
import type { Usage } from "../types.ts"
import type { ModelHost } from "./model-host.ts"
import type { ModelLoad } from "./served-model.ts"

/** Seconds to the first token: from a cached prompt to a long one on a slow machine. */
const firstTokenBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
/** Seconds between tokens. */
const nextTokenBuckets = [0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.2, 0.5, 1, 2, 5]
/** Seconds of a whole reply. */
const replyBuckets = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800]

/** One measure under our name and vLLM's; its values carry the model's name there. */
interface Twin<T> {
  own: T
  vllm: T
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #model: string
  readonly #firstToken: Twin<Histogram>
  readonly #nextToken: Twin<Histogram>
  readonly #whole: Twin<Histogram>
  readonly #promptTokens: Twin<Counter>
  readonly #cachedTokens: Twin<Counter>
  readonly #replyTokens: Twin<Counter>
  readonly #replies: Twin<Counter>
  readonly #failures: Counter
  readonly #vllmQueried: Counter

  /** `host` is asked at each reading; there is no load while no model is open. */
  constructor(model: string, host: Pick<ModelHost, "model" | "numRestarts">) {
    this.#model = model
    this.#firstToken = this.#histogram("time_to_first_token_seconds", firstTokenBuckets)
    this.#nextToken = this.#histogram("inter_token_latency_seconds", nextTokenBuckets)
    this.#whole = this.#histogram("e2e_request_latency_seconds", replyBuckets)
    this.#promptTokens = this.#counter("prompt_tokens_total", "prompt_tokens_total", "prompt tokens")
    this.#cachedTokens = this.#counter(
      "cached_tokens_total",
      "prefix_cache_hits_total",
      "prompt tokens whose keys and values were still there",
    )
    this.#replyTokens = this.#counter("generated_tokens_total", "generation_tokens_total", "generated tokens")
    this.#replies = this.#counter("replies_total", "request_success_total", "replies by how they ended", [
      "finished_reason",
    ])
    const registers = [this.#registry]
    this.#failures = new Counter({
      name: "a3b_failures_total",
      help: "requests that ended in an error, by status",
      labelNames: ["status"],
      registers,
    })
    this.#vllmQueried = new Counter({
      name: "vllm:prefix_cache_queries_total",
      help: "prompt tokens that were looked up",
      labelNames: ["model_name"],
      registers,
    })
    this.#watchLoad(host)
  }

  firstToken(seconds: number): void {
    this.#observe(this.#firstToken, seconds)
  }

  nextToken(seconds: number): void {
    this.#observe(this.#nextToken, seconds)
  }

  reply(reason: string, seconds: number): void {
    this.#count(this.#replies, 1, { finished_reason: reason })
    this.#observe(this.#whole, seconds)
  }

  usage({ promptTokens, cachedTokens, completionTokens }: Usage): void {
    this.#count(this.#promptTokens, promptTokens)
    this.#count(this.#cachedTokens, cachedTokens)
    this.#count(this.#replyTokens, completionTokens)
    this.#vllmQueried.inc({ model_name: this.#model }, promptTokens)
  }

  failure(status: number): void {
    this.#failures.inc({ status: String(status) })
  }

  /** Prometheus' text format, and its media type. */
  async text(): Promise<{ text: string; type: string }> {
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }

  #watchLoad(host: Pick<ModelHost, "model" | "numRestarts">): void {
    const idle: ModelLoad = { running: 0, waiting: 0, usedPages: 0, pages: 1 }
    const registers = [this.#registry]
    const gauge = (names: readonly string[], help: string, value: (load: ModelLoad) => number) => {
      for (const name of names) {
        const labels = this.#labels(name)
        new Gauge({
          name,
          help,
          labelNames: Object.keys(labels),
          registers,
          async collect() {
            this.set(labels, value((await host.model?.load) ?? idle))
          },
        })
      }
    }
    let numSeen = 0
    new Counter({
      name: "a3b_model_restarts_total",
      help: "times that a model failed and was let go, to be opened anew",
      registers,
      collect() {
        this.inc(host.numRestarts - numSeen)
        numSeen = host.numRestarts
      },
    })
    gauge(["a3b_requests_running", "vllm:num_requests_running"], "sequences that run", (now) => now.running)
    gauge(["a3b_requests_waiting", "vllm:num_requests_waiting"], "sequences that wait", (now) => now.waiting)
    gauge(
      ["a3b_kv_cache_usage_ratio", "vllm:kv_cache_usage_perc"],
      "share of the pages of keys and values that running sequences hold, 0 to 1",
      ({ usedPages, pages }) => usedPages / pages,
    )
  }

  #labels(name: string): Record<string, string> {
    return name.startsWith("vllm:") ? { model_name: this.#model } : {}
  }

  #histogram(name: string, buckets: number[]): Twin<Histogram> {
    const registers = [this.#registry]
    const help = name.replaceAll("_", " ")
    return {
      own: new Histogram({ name: `a3b_${name}`, help, buckets, registers }),
      vllm: new Histogram({ name: `vllm:${name}`, help, buckets, labelNames: ["model_name"], registers }),
    }
  }

  #counter(own: string, vllm: string, help: string, labelNames: string[] = []): Twin<Counter> {
    const registers = [this.#registry]
    return {
      own: new Counter({ name: `a3b_${own}`, help, labelNames, registers }),
      vllm: new Counter({
        name: `vllm:${vllm}`,
        help,
        labelNames: ["model_name", ...labelNames],
        registers,
      }),
    }
  }

  #observe({ own, vllm }: Twin<Histogram>, seconds: number): void {
    own.observe(seconds)
    vllm.observe({ model_name: this.#model }, seconds)
  }

  #count({ own, vllm }: Twin<Counter>, by: number, labels: Record<string, string> = {}): void {
    own.inc(labels, by)
    vllm.inc({ model_name: this.#model, ...labels }, by)
  }
}
