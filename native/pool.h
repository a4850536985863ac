// Threads of the engine's own. Between steps they sleep; within a step they spin briefly from phase to phase.
// A phase hands out ranges of tasks from one counter: long ones first, so that memory streams, and short ones at the
// end, so that a slow core never holds the others up (guided self-scheduling, Polychronopoulos and Kuck 1987).
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
inline void spinPause() { _mm_pause(); }
// Denormals would slow kernels down fourfold and carry no information here.
inline void flushDenormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }
#elif defined(__aarch64__)
inline void spinPause() { std::this_thread::yield(); }
// As on x64, so that the bits are the same.
inline void flushDenormals() {
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" : : "r"(control | 1 << 24));
}
#else
inline void spinPause() { std::this_thread::yield(); }
inline void flushDenormals() {}
#endif

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {
    workers_.emplace_back([this] { lead(); });
    for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return threads_; }

  // Runs `job` on the leading thread; jobs queue up in order.
  void post(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

  std::atomic<bool> cancelled{false};

  // From the leading thread: fn(first, last, thread) over [0, tasks) in ranges of at least `grain`, on all threads;
  // returns when all is done. After a cancel, ranges not yet begun are dropped; a long fn looks for itself.
  template <class Fn> void run(int tasks, int grain, Fn&& fn) {
    if (tasks <= grain || threads_ == 1) {
      if (tasks > 0 && !cancelled.load(std::memory_order_relaxed)) fn(0, tasks, 0);
      return;
    }
    tasks_ = tasks;
    grain_ = grain;
    next_.store(0, std::memory_order_relaxed);
    context_ = &fn;
    call_ = [](void* f, int a, int b, int thread) { (*static_cast<std::remove_reference_t<Fn>*>(f))(a, b, thread); };
    door_.store((door_.load(std::memory_order_relaxed) / kVisit + 1) * kVisit + kOpen, std::memory_order_release);
    phase_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) phase_.notify_all();
    share(0);
    door_.fetch_and(~kOpen, std::memory_order_acq_rel);
    for (int spins = 0; door_.load(std::memory_order_acquire) % kOpen != 0; spins++) {
      if (spins < kSpins) spinPause();
      else std::this_thread::yield();
    }
  }

 private:
  static constexpr int kSpins = 4000;
  // The door of a phase: how many workers are inside, whether one may still enter, and a number that no other phase
  // has. The leader closes it when no task is left and waits for those inside only, so that a worker whose core runs
  // something else costs its share of the speed and not a time slice in every phase.
  static constexpr uint64_t kOpen = 1 << 16, kVisit = 1 << 17;

  bool enter() {
    uint64_t door = door_.load(std::memory_order_acquire);
    while (door & kOpen)
      if (door_.compare_exchange_weak(door, door + 1, std::memory_order_acquire)) return true;
    return false;
  }

  void share(int thread) {
    const int tasks = tasks_, grain = grain_;
    for (int first = next_.load(std::memory_order_relaxed); first < tasks;) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const int part = (tasks - first) / (2 * threads_), last = std::min(tasks, first + std::max(part, grain));
      if (!next_.compare_exchange_weak(first, last, std::memory_order_relaxed)) continue;
      call_(context_, first, last, thread);
      first = next_.load(std::memory_order_relaxed);
    }
  }

  void lead() {
    flushDenormals();
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (jobs_.empty()) break;
      auto job = std::move(jobs_.front());
      jobs_.erase(jobs_.begin());
      lock.unlock();
      job();
    }
    done_.store(true, std::memory_order_seq_cst);
    phase_.fetch_add(1, std::memory_order_seq_cst);
    phase_.notify_all();
  }

  void work(int thread) {
    flushDenormals();
    for (uint32_t seen = 0;;) {
      uint32_t now = phase_.load(std::memory_order_acquire);
      for (int spins = 0; now == seen && spins < kSpins; spins++) {
        spinPause();
        now = phase_.load(std::memory_order_acquire);
      }
      if (now == seen) {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        phase_.wait(seen, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        continue;
      }
      seen = now;
      if (done_.load(std::memory_order_seq_cst)) return;
      if (!enter()) continue;
      share(thread);
      door_.fetch_sub(1, std::memory_order_release);
    }
  }

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> jobs_;
  bool stop_ = false;
  std::atomic<bool> done_{false};

  int tasks_ = 0, grain_ = 1;
  void* context_ = nullptr;
  void (*call_)(void*, int, int, int) = nullptr;
  alignas(64) std::atomic<int> next_{0};
  alignas(64) std::atomic<uint64_t> door_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  alignas(64) std::atomic<int> sleepers_{0};
};
