#include "hardware/probe/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <utility>

namespace moecap::hardware {

Result<SharedLibrary> SharedLibrary::Open(const std::string& name) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    return Failed(fmt::format("cannot open {}: {}", name, reason == nullptr ? "no reason given" : reason));
  }
  return SharedLibrary(handle);
}

SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

SharedLibrary::~SharedLibrary() {
  if (handle_ != nullptr) ::dlclose(handle_);
}

void* SharedLibrary::Address(const char* symbol) const { return ::dlsym(handle_, symbol); }

}  // namespace moecap::hardware
