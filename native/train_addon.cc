// The training ops' door to JavaScript: one function for all of them. Checks kinds and counts of arguments and calls;
// src/distill/train/native.ts has checked the lengths. Calls return when their result is there.
#define NAPI_VERSION 9
#include "train_addon.h"
#include <string>
#include <vector>
#include "train.h"

namespace {

constexpr size_t kMaxArrays = 12;

// What a call brings: numbers, and arrays of the kinds that the op's signature lists.
struct Call {
  const double* numbers;
  void* arrays[kMaxArrays];
  size_t lengths[kMaxArrays];

  int n(int i) const { return static_cast<int>(numbers[i]); }
  float real(int i) const { return static_cast<float>(numbers[i]); }
  float* f(int i) const { return static_cast<float*>(arrays[i]); }
  const int32_t* ints(int i) const { return static_cast<const int32_t*>(arrays[i]); }
};

// numbers: kind (0: y = x W^T, 1: dx = dy W, 2: dW += dy^T x), inputs, outputs, add, exact; groups of rows by `starts`.
bool products(Trainer& t, const Call& c) {
  const int kind = c.n(0), in = c.n(1), out = c.n(2);
  const int32_t* starts = c.ints(3);
  std::vector<Product> list;
  for (size_t g = 0; g + 1 < c.lengths[3]; g++) {
    const int64_t row = starts[g], weights = static_cast<int64_t>(g) * in * out;
    const int rows = starts[g + 1] - starts[g];
    if (kind == 0) list.push_back({{c.f(1) + row * in, in, 1}, {c.f(2) + weights, 1, in}, c.f(0) + row * out, out, rows, out, in});
    if (kind == 1) list.push_back({{c.f(1) + row * out, out, 1}, {c.f(2) + weights, in, 1}, c.f(0) + row * in, in, rows, in, out});
    if (kind == 2) list.push_back({{c.f(1) + row * out, 1, out}, {c.f(2) + row * in, in, 1}, c.f(0) + weights, in, out, in, rows});
  }
  return t.products(list.data(), static_cast<int>(list.size()), c.n(3) ? Write::add : Write::set,
                    c.n(4) ? Factors::exact : Factors::rounded);
}

Rows rowsOf(const Call& c) { return {c.n(0), c.n(1), c.real(2)}; }
bool rmsNorm(Trainer& t, const Call& c) { return t.rmsNorm(rowsOf(c), c.f(1), c.f(2), c.f(0)); }
bool rmsNormBack(Trainer& t, const Call& c) { return t.rmsNormBack(rowsOf(c), c.f(2), c.f(3), c.f(4), c.f(0), c.f(1)); }

bool normRope(Trainer& t, const Call& c) {
  return t.normRope({c.n(0), c.n(1), c.n(2), c.real(3), c.f(2), c.f(3), c.f(4), c.ints(5)}, c.f(1), c.f(0));
}
bool normRopeBack(Trainer& t, const Call& c) {
  return t.normRopeBack({c.n(0), c.n(1), c.n(2), c.real(3), c.f(4), c.f(5), c.f(6), c.ints(7)}, c.f(2), c.f(3), c.f(0), c.f(1));
}

Attention attentionOf(const Call& c, int q) {
  return {c.n(0), c.n(1), c.n(2), c.ints(q + 3), static_cast<int>(c.lengths[q + 3]) - 1, c.f(q), c.f(q + 1), c.f(q + 2)};
}
bool attend(Trainer& t, const Call& c) { return t.attend(attentionOf(c, 2), c.f(0), c.f(1)); }
bool attendBack(Trainer& t, const Call& c) { return t.attendBack(attentionOf(c, 6), c.f(3), c.f(4), c.f(5), c.f(0), c.f(1), c.f(2)); }

bool siluMultiply(Trainer& t, const Call& c) { return t.siluMultiply(static_cast<int64_t>(c.numbers[0]), c.f(1), c.f(2), c.f(0)); }
bool siluMultiplyBack(Trainer& t, const Call& c) {
  return t.siluMultiplyBack(static_cast<int64_t>(c.numbers[0]), c.f(2), c.f(3), c.f(4), c.f(0), c.f(1));
}

bool gather(Trainer& t, const Call& c) { return t.gather(c.n(0), c.n(1), c.ints(2), c.f(1), c.f(0)); }
bool scatter(Trainer& t, const Call& c) { return t.scatter(c.n(0), c.n(1), c.ints(2), c.f(1), c.f(0)); }

bool sumPlaces(Trainer& t, const Call& c) { return t.mix({c.n(0), c.n(1), c.n(2), c.ints(2), nullptr}, c.f(1), c.f(0)); }
bool mix(Trainer& t, const Call& c) { return t.mix({c.n(0), c.n(1), c.n(2), c.ints(2), c.f(3)}, c.f(1), c.f(0)); }
bool mixBack(Trainer& t, const Call& c) {
  return t.mixBack({c.n(0), c.n(1), c.n(2), c.ints(4), c.f(5)}, c.f(2), c.f(3), c.f(0), c.f(1));
}

bool crossEntropy(Trainer& t, const Call& c) { return t.crossEntropy(c.n(0), c.n(1), c.ints(2), c.f(3), c.f(0), c.f(1)); }
bool divergence(Trainer& t, const Call& c) { return t.divergence(c.n(0), c.n(1), c.real(2), c.f(2), c.f(3), c.f(0), c.f(1)); }

bool adamW(Trainer& t, const Call& c) {
  const AdamW rule{c.real(1), c.real(2), c.real(3), c.real(4), c.real(5), c.real(6), c.real(7), c.real(8)};
  return t.adamW(static_cast<int64_t>(c.numbers[0]), rule, c.f(1), c.f(0), c.f(2), c.f(3));
}
bool sumsOfSquares(Trainer& t, const Call& c) {
  return t.sumsOfSquares(static_cast<int64_t>(c.numbers[0]), c.f(1), static_cast<double*>(c.arrays[0]));
}

// Arrays are f: Float32Array, i: Int32Array, d: Float64Array, results first.
const struct TrainOp {
  const char* name;
  size_t numbers;
  const char* arrays;
  bool (*call)(Trainer&, const Call&);
} ops[] = {
    {"products", 5, "fffi", products},
    {"rmsNorm", 3, "fff", rmsNorm},
    {"rmsNormBack", 3, "fffff", rmsNormBack},
    {"normRope", 4, "fffffi", normRope},
    {"normRopeBack", 4, "fffffffi", normRopeBack},
    {"attend", 3, "fffffi", attend},
    {"attendBack", 3, "fffffffffi", attendBack},
    {"siluMultiply", 1, "fff", siluMultiply},
    {"siluMultiplyBack", 1, "fffff", siluMultiplyBack},
    {"gather", 2, "ffi", gather},
    {"scatter", 2, "ffi", scatter},
    {"sumPlaces", 3, "ffi", sumPlaces},
    {"mix", 3, "ffif", mix},
    {"mixBack", 3, "ffffif", mixBack},
    {"crossEntropy", 2, "ffif", crossEntropy},
    {"divergence", 3, "ffff", divergence},
    {"adamW", 9, "ffff", adamW},
    {"sumsOfSquares", 1, "df", sumsOfSquares},
};

napi_value fail(napi_env env, const std::string& message) {
  napi_throw_error(env, nullptr, message.c_str());
  return nullptr;
}

bool arrayOf(napi_env env, napi_value value, char kind, void** data, size_t* length) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, length, data, nullptr, nullptr) != napi_ok) return false;
  return type == (kind == 'f' ? napi_float32_array : kind == 'i' ? napi_int32_array : napi_float64_array);
}

// train(trainer, op, numbers, ...arrays)
napi_value train(napi_env env, napi_callback_info info) {
  napi_value values[3 + kMaxArrays];
  size_t count = 3 + kMaxArrays, length = 0, numbers = 0;
  char name[32];
  void *trainer = nullptr, *data = nullptr;
  if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok || count < 3 ||
      napi_get_value_external(env, values[0], &trainer) != napi_ok ||
      napi_get_value_string_utf8(env, values[1], name, sizeof name, &length) != napi_ok || !arrayOf(env, values[2], 'd', &data, &numbers))
    return fail(env, "train: bad arguments");
  for (const TrainOp& op : ops) {
    const std::string kinds = op.arrays;
    if (kinds.size() + 3 > count || numbers < op.numbers || std::string(name) != op.name) continue;
    Call call{static_cast<const double*>(data), {}, {}};
    for (size_t i = 0; i < kinds.size(); i++)
      if (!arrayOf(env, values[3 + i], kinds[i], &call.arrays[i], &call.lengths[i])) return fail(env, op.name + std::string(": bad arrays"));
    Trainer& t = *static_cast<Trainer*>(trainer);
    if (!t.call([&] { return op.call(t, call); })) return fail(env, op.name + std::string(": no memory"));
    return nullptr;
  }
  return fail(env, std::string("train: no such op, or too few arguments: ") + name);
}

// trainer(threads, isa: "" for the best, products: "f32", "bf16" where this CPU has them, or "fastest") -> trainer
napi_value trainer(napi_env env, napi_callback_info info) {
  napi_value values[3], result;
  size_t count = 3, length = 0;
  int32_t threads = 0;
  char isa[16], products[16];
  if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok || napi_get_value_int32(env, values[0], &threads) != napi_ok ||
      napi_get_value_string_utf8(env, values[1], isa, sizeof isa, &length) != napi_ok ||
      napi_get_value_string_utf8(env, values[2], products, sizeof products, &length) != napi_ok || threads < 1 || threads > 512)
    return fail(env, "trainer: bad arguments");
  const Kernels* kernels = kernelsFor(isa);
  if (!kernels) return fail(env, std::string("this CPU has no ") + isa + "; it has: " + kernelNames());
  const std::string wanted = products;
  const TrainKernels* train = wanted == "fastest" ? fastestKernelsFor(kernels->name) : nullptr;
  if (wanted == "bf16") train = bfloatKernelsFor(kernels->name);
  if (!train) train = trainKernelsFor(kernels->name);
  napi_create_external(env, new Trainer(threads, kernels, train), [](napi_env, void* p, void*) { delete static_cast<Trainer*>(p); }, nullptr, &result);
  return result;
}

napi_value nameOf(napi_env env, napi_callback_info info, const char* (*name)(const Trainer&)) {
  napi_value value, result;
  size_t count = 1;
  void* p = nullptr;
  if (napi_get_cb_info(env, info, &count, &value, nullptr, nullptr) != napi_ok || napi_get_value_external(env, value, &p) != napi_ok)
    return fail(env, "no trainer");
  napi_create_string_utf8(env, name(*static_cast<Trainer*>(p)), NAPI_AUTO_LENGTH, &result);
  return result;
}

// trainerIsa(trainer) -> the name of the set in use
napi_value trainerIsa(napi_env env, napi_callback_info info) {
  return nameOf(env, info, [](const Trainer& t) { return t.train->name; });
}

// trainerProducts(trainer) -> f32 or bf16
napi_value trainerProducts(napi_env env, napi_callback_info info) {
  return nameOf(env, info, [](const Trainer& t) { return t.train == t.exact ? "f32" : "bf16"; });
}

}  // namespace

void addTrainFunctions(napi_env env, napi_value exports) {
  const struct { const char* name; napi_callback call; } functions[] = {
      {"trainer", trainer}, {"trainerIsa", trainerIsa}, {"trainerProducts", trainerProducts}, {"train", train}};
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
}
