// The training kernels on the lanes of vec_scalar.h; compiled with that set's flags, and kept free of shared inline code.
#include "vec_scalar.h"
namespace {
constexpr int kTileRows = 4, kTileVectors = 1;
}
#include "gemm_scalar.h"
#include "gemm_f32-inl.h"
#include "gemm-inl.h"
#include "train-inl.h"
#include "train_attention-inl.h"

extern const TrainKernels kTrainScalar;
constexpr TrainKernels table = trainKernels("scalar");
const TrainKernels kTrainScalar = table;
