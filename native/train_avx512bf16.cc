// The training kernels on the lanes of vec_avx512.h, products of bfloat16; compiled with that set's flags, and kept free
// of shared inline code.
#include "vec_avx512.h"
namespace {
constexpr int kTileRows = 8, kTileVectors = 2;
}
#include "gemm_bf16-inl.h"
#include "gemm-inl.h"
#include "train-inl.h"
#include "train_attention-inl.h"

extern const TrainKernels kTrainAvx512Bf16;
constexpr TrainKernels table = trainKernels("avx512");
const TrainKernels kTrainAvx512Bf16 = table;
