// The door to JavaScript: checks and copies arguments, nothing else. One call posts one step to the engine's own
// threads and resolves a promise; the event loop is never blocked.
#define NAPI_VERSION 9
#include <node_api.h>
#include <cfenv>
#include <cstring>
#include <string>
#include "engine.h"
#include "format.h"
#include "train_addon.h"
#include "train_kernels.h"

namespace {

struct Handle {
  std::unique_ptr<Engine> engine;
  Step step;
  bool busy = false;
};

napi_value fail(napi_env env, const std::string& message) {
  napi_throw_error(env, nullptr, message.c_str());
  return nullptr;
}

// The arguments of one call, read in order; `ok` is false once one of them was not what it must be.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    ok = napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr) == napi_ok;
  }

  Handle* handle() {
    void* p = nullptr;
    ok = ok && napi_get_value_external(env_, next(), &p) == napi_ok && p;
    return static_cast<Handle*>(p);
  }
  int32_t integer() {
    int32_t v = 0;
    ok = ok && napi_get_value_int32(env_, next(), &v) == napi_ok;
    return v;
  }
  double number() {
    double v = 0;
    ok = ok && napi_get_value_double(env_, next(), &v) == napi_ok;
    return v;
  }
  std::string text() {
    size_t n = 0;
    napi_value v = next();
    if (!ok || napi_get_value_string_utf8(env_, v, nullptr, 0, &n) != napi_ok) return ok = false, std::string();
    std::string s(n, '\0');
    napi_get_value_string_utf8(env_, v, s.data(), n + 1, &n);
    return s;
  }
  // The elements of a typed array; valid until the call returns.
  template <class T> T* array(napi_typedarray_type type, size_t* length) {
    napi_typedarray_type got;
    void* data = nullptr;
    ok = ok && napi_get_typedarray_info(env_, next(), &got, length, &data, nullptr, nullptr) == napi_ok && got == type;
    return static_cast<T*>(data);
  }
  template <class T> std::vector<T> copy(napi_typedarray_type type) {
    size_t n = 0;
    const T* p = array<T>(type, &n);
    return ok ? std::vector<T>(p, p + n) : std::vector<T>();
  }

  bool ok;

 private:
  napi_value next() { return values_[at_ < 15 ? at_++ : 15]; }
  napi_env env_;
  size_t count_ = 16, at_ = 0;
  napi_value values_[16] = {};
};

napi_value numberOf(napi_env env, double v) {
  napi_value result;
  napi_create_double(env, v, &result);
  return result;
}

napi_value booleanOf(napi_env env, bool v) {
  napi_value result;
  napi_get_boolean(env, v, &result);
  return result;
}

// A page of a cache, of which a call reads or writes what no running step uses.
struct PlacedPage {
  KvCache* cache;  // null where there is no such page
  int page;
};

PlacedPage pageOf(Arguments& a, Handle* h) {
  const int kv = a.integer(), page = a.integer();
  if (!a.ok || !h->engine || kv < 0 || kv >= static_cast<int>(h->engine->caches.size())) return {nullptr, 0};
  KvCache* cache = h->engine->caches[kv].get();
  return {page >= 0 && page < cache->pages ? cache : nullptr, page};
}

napi_value sets(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_string_utf8(env, kernelNames(), NAPI_AUTO_LENGTH, &result);
  return result;
}

// create(threads, isa: "" for the best, prefill: "exact" or "fast") -> engine
napi_value create(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  const int threads = a.integer();
  const std::string isa = a.text(), prefill = a.text();
  if (!a.ok || threads < 1 || threads > 512 || (prefill != "exact" && prefill != "fast")) return fail(env, "create: bad arguments");
  const Kernels* kernels = kernelsFor(isa.c_str());
  if (!kernels) return fail(env, "this CPU has no " + isa + "; it has: " + kernelNames());
  auto* handle = new Handle{std::make_unique<Engine>(threads, kernels, prefill == "fast" ? &fastestKernelsFor(kernels->name)->gemm : nullptr), {}, false};
  napi_value result;
  napi_create_external(env, handle, [](napi_env, void* p, void*) {
    auto* h = static_cast<Handle*>(p);
    if (h->engine) h->engine->pool.cancelled = true;
    delete h;
  }, nullptr, &result);
  return result;
}

// isa(engine) -> the name of the set in use
napi_value isa(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (!a.ok || !h->engine) return fail(env, "isa: no engine");
  napi_value result;
  napi_create_string_utf8(env, h->engine->kernels->name, NAPI_AUTO_LENGTH, &result);
  return result;
}

// mapFile(engine, path, promoteFrom: bytes of a file that moves to huge pages) -> file
napi_value mapFile(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const std::string path = a.text();
  const double promoteFrom = a.number();
  if (!a.ok || !h->engine) return fail(env, "mapFile: bad arguments");
  auto file = std::make_unique<MappedFile>();
  const std::string failure = file->open(path.c_str(), promoteFrom);
  if (!failure.empty()) return fail(env, failure);
  h->engine->files.push_back(std::move(file));
  return numberOf(env, static_cast<double>(h->engine->files.size() - 1));
}

// promotion(engine, file, numbers): where it stands, as Promotion lists it, and bytes moved, at any time
napi_value promotion(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int file = a.integer();
  size_t n = 0;
  double* numbers = a.array<double>(napi_float64_array, &n);
  if (!a.ok || !h->engine || file < 0 || file >= static_cast<int>(h->engine->files.size()) || n < 2) return fail(env, "promotion: bad arguments");
  numbers[0] = static_cast<double>(h->engine->files[file]->promotion());
  numbers[1] = static_cast<double>(h->engine->files[file]->promoted());
  return nullptr;
}

// weight(engine, file, offset, format, experts, rows, columns) -> weight
napi_value weight(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int file = a.integer();
  const double offset = a.number();
  const int format = a.integer(), experts = a.integer(), rows = a.integer(), columns = a.integer();
  if (!a.ok || !h->engine || file < 0 || file >= static_cast<int>(h->engine->files.size()) || format < 0 || format >= kFormats ||
      experts < 1 || rows < 1 || columns < 1 || offset < 0)
    return fail(env, "weight: bad arguments");
  const MappedFile& mapped = *h->engine->files[file];
  const int64_t bytes = matrixBytes(format, rows, columns);
  if (offset + static_cast<double>(bytes) * experts > static_cast<double>(mapped.bytes())) return fail(env, "weight: beyond the end of the file");
  h->engine->weights.push_back({mapped.data() + static_cast<int64_t>(offset), bytes, format, experts, rows, columns});
  return numberOf(env, static_cast<double>(h->engine->weights.size() - 1));
}

// rope(engine, frequencies, scale) -> rope
napi_value rope(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  auto frequencies = a.copy<float>(napi_float32_array);
  const double scale = a.number();
  if (!a.ok || !h->engine) return fail(env, "rope: bad arguments");
  h->engine->ropes.push_back({std::move(frequencies), static_cast<float>(scale)});
  return numberOf(env, static_cast<double>(h->engine->ropes.size() - 1));
}

// vector(engine, values) -> weight
napi_value vector(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  auto values = a.copy<float>(napi_float32_array);
  if (!a.ok || !h->engine || values.empty()) return fail(env, "vector: bad arguments");
  h->engine->vectors.push_back(std::move(values));
  const auto& kept = h->engine->vectors.back();
  const int columns = static_cast<int>(kept.size());
  h->engine->weights.push_back({reinterpret_cast<const uint8_t*>(kept.data()), columns * 4, F32, 1, 1, columns});
  return numberOf(env, static_cast<double>(h->engine->weights.size() - 1));
}

// kv(engine, layers, pages, kvHeads, headDim, window) -> cache, or -1 without memory
napi_value kv(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int layers = a.integer(), pages = a.integer(), kvHeads = a.integer(), headDim = a.integer(), window = a.integer();
  if (!a.ok || !h->engine || layers < 1 || pages < 1 || kvHeads < 1 || headDim < 1 || headDim > kMaxHeadDim || window < 1) return fail(env, "kv: bad arguments");
  auto cache = std::make_unique<KvCache>();
  cache->layers = layers, cache->pages = pages, cache->kvHeads = kvHeads, cache->headDim = headDim, cache->window = window;
  if (!cache->memory.allocate(cache->pageBytes() * pages)) return numberOf(env, -1);
  h->engine->caches.push_back(std::move(cache));
  return numberOf(env, static_cast<double>(h->engine->caches.size() - 1));
}

// trim(engine, kv, page, tier): of a page that no running step uses, gives back all but the codes of a tier; 0 keeps none
napi_value trim(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const auto [cache, page] = pageOf(a, h);
  const int tier = a.integer();
  if (!a.ok || tier < 0 || tier >= kTiers) return fail(env, "trim: bad arguments");
  if (!cache) return fail(env, "trim: no such page");
  cache->trim(page, tier);
  return nullptr;
}

// Rows [kPageTokens][kvHeads * headDim] of one layer of a page; null where an argument is wrong.
struct PageRows {
  KvCache* cache;
  int page, layer;
  float *keys, *values;
};

PageRows rowsOf(Arguments& a, Handle* h) {
  const auto [cache, page] = pageOf(a, h);
  const int layer = a.integer();
  size_t keys = 0, values = 0;
  PageRows rows{cache, page, layer, a.array<float>(napi_float32_array, &keys), a.array<float>(napi_float32_array, &values)};
  const bool fits = a.ok && cache && layer >= 0 && layer < cache->layers;
  const size_t size = fits ? static_cast<size_t>(cache->kvHeads * cache->headValues()) : 0;
  if (!fits || keys != size || values != size) rows.cache = nullptr;
  return rows;
}

// fn(token, head, where its row begins among the floats)
template <class Fn> void eachRow(const KvCache& kv, Fn fn) {
  for (int t = 0; t < kPageTokens; t++)
    for (int h = 0; h < kv.kvHeads; h++) fn(t, h, (t * kv.kvHeads + h) * kv.headDim);
}

// writeKv(engine, kv, page, layer, keys, values, tier) -> whether memory sufficed; with the codes of a tier above 0
napi_value writeKv(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const PageRows rows = rowsOf(a, h);
  const int tier = a.integer();
  if (!a.ok || !rows.cache || tier < 0 || tier >= kTiers) return fail(env, "writeKv: bad arguments");
  KvCache& kv = *rows.cache;
  const Kernels& kernels = *h->engine->kernels;
  if (tier > 0 && !kv.reserveCodes()) return booleanOf(env, false);
  // As on the pool's threads, so that the bits are those of a step.
  std::fenv_t before;
  std::fegetenv(&before);
  flushDenormals();
  eachRow(kv, [&](int t, int head, int at) {
    uint16_t key[kMaxHeadDim];
    kernels.storeHalf(rows.keys + at, kv.headDim, key);
    kv.putKey(rows.page, rows.layer, head, t, key);
    kernels.storeHalf(rows.values + at, kv.headDim, kv.values(rows.page, rows.layer, head) + t * kv.headDim);
  });
  for (int head = 0; head < kv.kvHeads && tier > 0; head++) {
    uint8_t* pieces[kPieces];
    for (int i = 0; i < kPieces; i++) pieces[i] = kv.piece(i, rows.page, rows.layer, head);
    kernels.encodePage(kv.keys(rows.page, rows.layer, head), kv.values(rows.page, rows.layer, head), kv.headDim, tier, pieces);
  }
  std::fesetenv(&before);
  return booleanOf(env, true);
}

// readKv(engine, kv, page, layer, keys, values): what the page has in 16 bits
napi_value readKv(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  const PageRows rows = rowsOf(a, a.handle());
  if (!rows.cache) return fail(env, "readKv: bad arguments");
  const KvCache& kv = *rows.cache;
  eachRow(kv, [&](int t, int head, int at) {
    const uint16_t* key = kv.keys(rows.page, rows.layer, head) + keyStart(t, kv.headDim);
    const uint16_t* value = kv.values(rows.page, rows.layer, head) + t * kv.headDim;
    for (int i = 0; i < kv.headDim; i++) rows.keys[at + i] = halfToFloat(key[i * kKeyPanel]), rows.values[at + i] = halfToFloat(value[i]);
  });
  return nullptr;
}

// copyPage(engine, kv, page, tier, bytes, direction: 0 in, 1 out) -> whether memory sufficed; all layers, in 16 bits or codes
napi_value copyPage(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const auto [cache, page] = pageOf(a, h);
  const int tier = a.integer();
  size_t n = 0;
  uint8_t* bytes = a.array<uint8_t>(napi_uint8_array, &n);
  const int out = a.integer();
  if (!a.ok || !cache || tier < 0 || tier >= kTiers) return fail(env, "copyPage: bad arguments");
  if (tier > 0 && !cache->reserveCodes()) return booleanOf(env, false);
  size_t size = 0;
  cache->eachStretch(page, tier, [&](uint8_t*, int64_t length) { size += static_cast<size_t>(length); });
  if (n != size) return fail(env, "copyPage: " + std::to_string(n) + " bytes for a page of " + std::to_string(size));
  cache->eachStretch(page, tier, [&](uint8_t* held, int64_t length) {
    if (out) memcpy(bytes, held, static_cast<size_t>(length));
    else memcpy(held, bytes, static_cast<size_t>(length));
    bytes += length;
  });
  return booleanOf(env, true);
}

// prepare(engine, ops, ids, positions, slots, pages, tiers, logitRows, sequences, rows, columns, strides, offsets) -> whether memory sufficed
napi_value prepare(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (!a.ok || !h->engine || h->busy) return fail(env, "prepare: the engine is busy or freed");
  Step& s = h->step;
  s.ops = a.copy<int32_t>(napi_int32_array);
  s.ids = a.copy<int32_t>(napi_int32_array);
  s.positions = a.copy<int32_t>(napi_int32_array);
  s.slots = a.copy<int32_t>(napi_int32_array);
  s.pages = a.copy<int32_t>(napi_int32_array);
  s.tiers = a.copy<int32_t>(napi_int32_array);
  s.logitRows = a.copy<int32_t>(napi_int32_array);
  const auto sequences = a.copy<int32_t>(napi_int32_array);
  s.rows = a.copy<int32_t>(napi_int32_array);
  s.columns = a.copy<int32_t>(napi_int32_array);
  s.strides = a.copy<int32_t>(napi_int32_array);
  const auto offsets = a.copy<double>(napi_float64_array);
  if (!a.ok || s.ops.size() % kOpWords != 0 || s.rows.size() != offsets.size() || s.strides.size() != offsets.size() || s.tiers.size() != s.pages.size()) return fail(env, "prepare: bad arguments");
  s.offsets.assign(offsets.begin(), offsets.end());
  s.sequences.clear();
  for (size_t i = 0; i + 5 <= sequences.size(); i += 5)
    s.sequences.push_back({sequences[i], sequences[i + 1], sequences[i + 2], sequences[i + 3], sequences[i + 4]});
  return booleanOf(env, h->engine->reserve(s));
}

// copy(engine, tensor, values, direction: 0 in, 1 out)
napi_value copyTensor(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int t = a.integer();
  size_t n = 0;
  float* values = a.array<float>(napi_float32_array, &n);
  const int out = a.integer();
  if (!a.ok || !h->engine || h->busy || t < 0 || t >= static_cast<int>(h->step.rows.size())) return fail(env, "copy: bad arguments");
  const size_t rows = static_cast<size_t>(h->step.rows[t]), columns = static_cast<size_t>(h->step.columns[t]);
  if (n < rows * columns) return fail(env, "copy: array too short");
  for (size_t r = 0; columns > 0 && r < rows; r++, values += columns) {
    float* row = h->engine->row(h->step, t, static_cast<int64_t>(r));
    if (out) memcpy(values, row, columns * 4);
    else memcpy(row, values, columns * 4);
  }
  return nullptr;
}

// visits(engine, weight, counts): rows that each expert was given so far, at any time
napi_value visits(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int w = a.integer();
  size_t n = 0;
  double* counts = a.array<double>(napi_float64_array, &n);
  if (!a.ok || !h->engine || w < 0 || w >= static_cast<int>(h->engine->weights.size())) return fail(env, "visits: bad arguments");
  const Weight& gate = h->engine->weights[w];
  if (n < static_cast<size_t>(gate.experts)) return fail(env, "visits: array too short");
  for (int i = 0; i < gate.experts; i++) counts[i] = static_cast<double>(gate.visits[i].load(std::memory_order_relaxed));
  return nullptr;
}

// selections(engine, cache, counts): of rows that choose what they read, as KvCache lists them, at any time
napi_value selections(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  const int kv = a.integer();
  size_t n = 0;
  double* counts = a.array<double>(napi_float64_array, &n);
  if (!a.ok || !h->engine || kv < 0 || kv >= static_cast<int>(h->engine->caches.size()) || n < 4) return fail(env, "selections: bad arguments");
  const KvCache& cache = *h->engine->caches[kv];
  const std::atomic<uint64_t>* all[] = {&cache.scanned, &cache.fellBack, &cache.keptMillionths, &cache.chosenBlocks};
  for (int i = 0; i < 4; i++) counts[i] = static_cast<double>(all[i]->load(std::memory_order_relaxed));
  return nullptr;
}

// A job on the engine's threads and the promise of its number.
struct Pending {
  Handle* handle;
  napi_deferred deferred;
  napi_threadsafe_function finished;
  napi_ref keep;  // the engine must outlive the job
  double result = 0;
};

void settle(napi_env env, napi_value, void*, void* data) {
  auto* pending = static_cast<Pending*>(data);
  pending->handle->busy = false;
  if (env) {
    napi_resolve_deferred(env, pending->deferred, numberOf(env, pending->result));
    napi_delete_reference(env, pending->keep);
  }
  delete pending;
}

template <class Fn> napi_value start(napi_env env, napi_callback_info info, const char* name, Fn job) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (!a.ok || !h->engine || h->busy) return fail(env, std::string(name) + ": the engine is busy or freed");
  size_t one = 1;
  napi_value external, promise, resource;
  napi_get_cb_info(env, info, &one, &external, nullptr, nullptr);
  auto* pending = new Pending{h, nullptr, nullptr, nullptr};
  napi_create_promise(env, &pending->deferred, &promise);
  napi_create_reference(env, external, 1, &pending->keep);
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &resource);
  napi_create_threadsafe_function(env, nullptr, nullptr, resource, 0, 1, nullptr, nullptr, nullptr, settle, &pending->finished);
  h->busy = true;
  h->engine->pool.cancelled = false;
  h->engine->pool.post([pending, job] {
    pending->result = job(*pending->handle);
    napi_threadsafe_function finished = pending->finished;
    napi_call_threadsafe_function(finished, pending, napi_tsfn_nonblocking);
    napi_release_threadsafe_function(finished, napi_tsfn_release);
  });
  return promise;
}

// run(engine) -> promise of 1, or of 0 when cancelled
napi_value run(napi_env env, napi_callback_info info) {
  return start(env, info, "run", [](Handle& h) { return h.engine->run(h.step) ? 1.0 : 0.0; });
}

// roof(engine, what) -> promise of what a second has at the most: 0 bytes read, 1 cycles, from 2 on products as Peak lists them
napi_value roof(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  a.handle();
  const int what = a.integer();
  if (!a.ok || what < 0 || what > 4) return fail(env, "roof: bad arguments");
  return start(env, info, "roof", [what](Handle& h) {
    if (what == 0) return h.engine->readBandwidth();
    if (what == 1) return h.engine->clock();
    return h.engine->peak(static_cast<Peak>(what - 2));
  });
}

napi_value cancel(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (a.ok && h->engine && h->busy) h->engine->pool.cancelled = true;
  return nullptr;
}

// timings(engine) -> seconds spent in each op since the last call, in the order of the ops
napi_value timings(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (!a.ok || !h->engine || h->busy) return fail(env, "timings: the engine is busy or freed");
  napi_value result;
  napi_create_array_with_length(env, kOps, &result);
  for (uint32_t i = 0; i < kOps; i++) {
    napi_set_element(env, result, i, numberOf(env, static_cast<double>(h->engine->nanoseconds[i]) * 1e-9));
    h->engine->nanoseconds[i] = 0;
  }
  return result;
}

napi_value release(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Handle* h = a.handle();
  if (!a.ok || h->busy) return fail(env, "free: the engine is busy");
  h->engine.reset();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct { const char* name; napi_callback call; } functions[] = {
      {"sets", sets}, {"create", create}, {"isa", isa}, {"mapFile", mapFile}, {"promotion", promotion}, {"weight", weight}, {"rope", rope},
      {"vector", vector}, {"kv", kv}, {"trim", trim}, {"writeKv", writeKv}, {"readKv", readKv}, {"copyPage", copyPage}, {"prepare", prepare}, {"copy", copyTensor}, {"visits", visits}, {"selections", selections}, {"run", run}, {"roof", roof},
      {"cancel", cancel}, {"timings", timings}, {"free", release},
  };
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
  addTrainFunctions(env, exports);
  return exports;
}
