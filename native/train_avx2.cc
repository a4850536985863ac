// The training kernels on the lanes of vec_avx2.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_avx2.h"
namespace {
constexpr int kTileRows = 4, kTileVectors = 1;
}
#include "gemm_x86.h"
#include "gemm_f32-inl.h"
#include "gemm-inl.h"
#include "train-inl.h"
#include "train_attention-inl.h"

extern const TrainKernels kTrainAvx2;
constexpr TrainKernels table = trainKernels("avx2");
const TrainKernels kTrainAvx2 = table;
