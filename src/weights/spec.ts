// What a model asks of a checkpoint: the tensors it needs, by name and shape. Filled in by the model, checked here.

/** How a tensor is used decides how it may be stored: vectors and the router keep their floats. */
export type TensorRole = "vector" | "matrix" | "router" | "embedding" | "head"

export interface TensorSpec {
  /** Hugging Face name; experts stacked. */
  name: string
  /** [columns], [rows, columns] or [experts, rows, columns] */
  shape: readonly number[]
  role: TensorRole
}
