// The kernels on the lanes of vec_avx512.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_avx512.h"
#include "gemm_x86.h"
namespace {
constexpr int kBlockHeads = 8, kBlockVectors = 2;  // sums in registers of attention in blocks
}
#include "kernels-inl.h"

extern const Kernels kAvx512;
constexpr Kernels table = tableOf("avx512");
const Kernels kAvx512 = table;
