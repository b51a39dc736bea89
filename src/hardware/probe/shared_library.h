// A library that is looked for at run time. Internal to hardware/probe.
#pragma once

#include <string>

#include "base/result.h"

namespace moecap::hardware {

// Stays open as long as this lives.
class SharedLibrary {
 public:
  // Error: kFailed with the loader's reason.
  static Result<SharedLibrary> Open(const std::string& name);
  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&&) = delete;
  ~SharedLibrary();

  // Sets `function` to the symbol; returns false and sets null when the library lacks it.
  template <typename Function>
  bool Find(const char* symbol, Function*& function) const {
    function = reinterpret_cast<Function*>(Address(symbol));
    return function != nullptr;
  }

 private:
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* Address(const char* symbol) const;

  void* handle_;
};

}  // namespace moecap::hardware
