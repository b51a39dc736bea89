// What was found by a look that takes its time, shared by everybody who asks soon after it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.h"

namespace moecap::web {

// Of any thread. `clock` must outlive it.
template <typename T>
class Latest {
 public:
  explicit Latest(const Clock& clock) : clock_(clock) {}

  static constexpr int64_t kForNs = 400'000'000;  // less than the time between two looks of one connection

  // What was found, not longer ago than kForNs; else looks, while others wait for the one that does.
  std::shared_ptr<const T> Get(const std::function<T()>& look) {
    const std::lock_guard lock(mutex_);
    if (found_ == nullptr || clock_.NowNs() - found_ns_ >= kForNs) {
      found_ = std::make_shared<const T>(look());
      found_ns_ = clock_.NowNs();  // a slow look is shared by those that waited for it
    }
    return found_;
  }

 private:
  const Clock& clock_;
  std::mutex mutex_;
  int64_t found_ns_ = 0;
  std::shared_ptr<const T> found_;
};

}  // namespace moecap::web
