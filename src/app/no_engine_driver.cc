// Stands in for llamacpp_driver.cc in a build without the embedded engine.
#include "app/llamacpp_driver.h"

namespace moecap::app {

run::DriverFactory LlamaCppDriverFactory(const Clock&) {
  return [](const run::SystemConfig&, const run::RunConfig&) -> Result<std::unique_ptr<run::SystemDriver>> {
    return BadInput("this moecap was built without the embedded engine; configure with -DMOECAP_LLAMA=prebuilt");
  };
}

}  // namespace moecap::app
