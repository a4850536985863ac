// A server that listens, as those see it who started it. Names no library: programs that use the types need none.

export interface RunningServer {
  /** Where it listens, as a URL. */
  readonly url: string
  /** Takes no more requests, waits for those that run, ends them after `graceMs`, frees the model. */
  close(graceMs: number): Promise<void>
}
