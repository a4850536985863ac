// The kernels on the lanes of vec_neon.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_neon.h"
#include "gemm_scalar.h"
namespace {
constexpr int kBlockHeads = 4, kBlockVectors = 1;  // sums in registers of attention in blocks
}
#include "kernels-inl.h"

extern const Kernels kNeon;
constexpr Kernels table = tableOf("neon");
const Kernels kNeon = table;
