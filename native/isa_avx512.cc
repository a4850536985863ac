// The kernels on the lanes of vec_avx512.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_avx512.h"
#include "kernels-inl.h"

extern const Kernels kAvx512;
constexpr Kernels table = tableOf("avx512");
const Kernels kAvx512 = table;
