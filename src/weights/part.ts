// A file that is being downloaded: `<name>.part` and a journal beside it in, the file under its name out, only when
// its checksum is right. Knows bytes in order; never where they come from.
//
// The journal says which file it is and how many bytes are safe on the disk. What goes on after a stop is hashed
// again up to there.

import { createHash, type Hash } from "node:crypto"
import { renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { open, type FileHandle } from "node:fs/promises"
import { dirname } from "node:path"
import { readTextIfThere, syncFolder, writeError } from "./disk.ts"

/** `git-sha1` is the hash that git gives a file's contents, `blob <bytes>\0` before them. */
export interface Checksum {
  algorithm: "sha256" | "git-sha1"
  hex: string
}

export interface PartOptions {
  bytes: number
  checksum: Checksum
}

/** Bytes that a crash of the machine can lose. */
const syncBytes = 64 << 20
const readBytes = 1 << 20

export class PartFile {
  readonly #target: string
  readonly #options: PartOptions
  readonly #file: FileHandle
  #hash: Hash
  #at = 0
  #safe = 0

  /** Opens what an earlier run left of the same file, or an empty one. */
  static async open(target: string, options: PartOptions): Promise<PartFile> {
    const safe = safeBytes(target, options)
    try {
      const file = await open(`${target}.part`, safe > 0 ? "r+" : "w+")
      const part = new PartFile(target, options, file)
      if (safe > 0) await part.#resume(safe)
      return part
    } catch (error) {
      throw writeError(`${target}.part`, error)
    }
  }

  private constructor(target: string, options: PartOptions, file: FileHandle) {
    this.#target = target
    this.#options = options
    this.#file = file
    this.#hash = newHash(options)
  }

  /** Bytes so far. */
  get at(): number {
    return this.#at
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#guard(async () => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#at + done)
        done += bytesWritten
      }
    })
    this.#hash.update(bytes)
    this.#at += bytes.length
    if (this.#at - this.#safe >= syncBytes) await this.#sync()
  }

  async restart(): Promise<void> {
    await this.#guard(() => this.#file.truncate(0))
    this.#hash = newHash(this.#options)
    this.#at = 0
    this.#safe = 0
    rmSync(journalOf(this.#target), { force: true })
  }

  /** The checksum of what is there; nothing may be appended after it. */
  digest(): string {
    return this.#hash.digest("hex")
  }

  /** Gives the file its name. */
  async finish(): Promise<void> {
    await this.#guard(async () => {
      await this.#file.sync()
      await this.#file.close()
      renameSync(`${this.#target}.part`, this.#target)
      syncFolder(dirname(this.#target))
    })
    rmSync(journalOf(this.#target), { force: true })
  }

  async discard(): Promise<void> {
    await this.#file.close()
    rmSync(`${this.#target}.part`, { force: true })
    rmSync(journalOf(this.#target), { force: true })
  }

  /** Leaves what there is for the next run. */
  async leave(): Promise<void> {
    if (this.#at === 0) return this.discard()
    try {
      if (this.#at > this.#safe) await this.#sync()
    } finally {
      await this.#file.close()
    }
  }

  async #resume(safe: number): Promise<void> {
    const buffer = new Uint8Array(readBytes)
    while (this.#at < safe) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(readBytes, safe - this.#at), this.#at)
      if (bytesRead === 0) break
      this.#hash.update(buffer.subarray(0, bytesRead))
      this.#at += bytesRead
    }
    await this.#file.truncate(this.#at)
    this.#safe = this.#at
  }

  async #sync(): Promise<void> {
    await this.#guard(async () => {
      await this.#file.sync()
      const journal = { file: identity(this.#options), safe: this.#at }
      writeFileSync(journalOf(this.#target), JSON.stringify(journal), { flush: true })
    })
    this.#safe = this.#at
  }

  async #guard(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      throw writeError(`${this.#target}.part`, error)
    }
  }
}

function newHash({ bytes, checksum }: PartOptions): Hash {
  if (checksum.algorithm === "sha256") return createHash("sha256")
  return createHash("sha1").update(`blob ${bytes}\0`)
}

function journalOf(target: string): string {
  return `${target}.part.json`
}

function identity({ bytes, checksum }: PartOptions): string {
  return `${bytes} ${checksum.algorithm} ${checksum.hex}`
}

/** How much of the part file is whole and of this file; 0 where the journal does not say. */
function safeBytes(target: string, options: PartOptions): number {
  const size = statSync(`${target}.part`, { throwIfNoEntry: false })?.size ?? 0
  const text = readTextIfThere(journalOf(target))
  const [, file, safe] = /^\{"file":"([\w -]+)","safe":(\d+)\}$/.exec(text) ?? []
  return file === identity(options) && Number(safe) <= options.bytes ? Math.min(Number(safe), size) : 0
}
