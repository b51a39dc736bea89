// A GPU backend whose driver refuses it: what loading one does that was built for a newer driver.
#include <cstdio>
#include <cstdlib>

extern "C" [[gnu::visibility("default")]] void* ggml_backend_init() {
  std::fprintf(stderr, "CUDA error: the provided PTX was compiled with an unsupported toolchain.\n");
  std::abort();
}
