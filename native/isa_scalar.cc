// The kernels on the lanes of vec_scalar.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_scalar.h"
#include "kernels-inl.h"

extern const Kernels kScalar;
constexpr Kernels table = tableOf("scalar");
const Kernels kScalar = table;
