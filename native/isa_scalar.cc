// The kernels on the lanes of vec_scalar.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_scalar.h"
#include "gemm_scalar.h"
namespace {
constexpr int kBlockHeads = 4, kBlockVectors = 1;  // sums in registers of attention in blocks
}
#include "kernels-inl.h"

extern const Kernels kScalar;
constexpr Kernels table = tableOf("scalar");
const Kernels kScalar = table;
