import { describeBackend } from "../../../test/backend-conformance.ts"
import { ReferenceBackend } from "./reference.ts"

// Sums are float64: what is left is the rounding of each stored value to float32.
describeBackend("reference", () => new ReferenceBackend(), {
  rows: 5e-7,
  products: 1e-6,
  attention: 1e-6,
  experts: 3e-6,
  activations: "float",
})
