// The kernels on the lanes of vec_avx2.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_avx2.h"
#include "gemm_x86.h"
namespace {
constexpr int kBlockHeads = 4, kBlockVectors = 1;  // sums in registers of attention in blocks
}
#include "kernels-inl.h"

extern const Kernels kAvx2;
constexpr Kernels table = tableOf("avx2");
const Kernels kAvx2 = table;
