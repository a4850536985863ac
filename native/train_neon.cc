// The training kernels on the lanes of vec_neon.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_neon.h"
namespace {
constexpr int kTileRows = 4, kTileVectors = 1;
}
#include "gemm_scalar.h"
#include "gemm_f32-inl.h"
#include "gemm-inl.h"
#include "train-inl.h"
#include "train_attention-inl.h"

extern const TrainKernels kTrainNeon;
constexpr TrainKernels table = trainKernels("neon");
const TrainKernels kTrainNeon = table;
