// The kernels on the lanes of vec_neon.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_neon.h"
#include "kernels-inl.h"

extern const Kernels kNeon;
constexpr Kernels table = tableOf("neon");
const Kernels kNeon = table;
