// The training kernels on the lanes of vec_avx512.h, products in tiles of bfloat16; compiled with that set's flags, and
// kept free of shared inline code.
#include "vec_avx512.h"
#include "tiles_amx.h"
#include "gemm_amx-inl.h"
#include "train-inl.h"
#include "train_attention-inl.h"

extern const TrainKernels kTrainAmx;
constexpr TrainKernels table = trainKernels("avx512");
const TrainKernels kTrainAmx = table;
