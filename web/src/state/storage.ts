// Conversations in the browser's IndexedDB, one record each, by id. Nothing of them leaves the browser but what is
// asked of the server.

import { fromJson, toJson } from "./export.ts"
import type { Conversation } from "./conversation.ts"

export interface Storage {
  read(): Promise<Conversation[]>
  write(conversation: Conversation): Promise<unknown>
  remove(id: string): Promise<unknown>
}

const store = "conversations"

/** Throws where the browser keeps nothing, as in some private windows. */
export async function openStorage(): Promise<Storage> {
  const opening = indexedDB.open("a3b", 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(store, { keyPath: "id" })
  const database = await settled(opening)
  const records = (mode: IDBTransactionMode) => database.transaction(store, mode).objectStore(store)
  return {
    // Through the same checks as a file: another version of the page may have written it.
    read: async () => fromJson(toJson(await settled(records("readonly").getAll()))),
    write: (conversation) => settled(records("readwrite").put(conversation)),
    remove: (id) => settled(records("readwrite").delete(id)),
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error("the browser's storage failed"))
  })
}
