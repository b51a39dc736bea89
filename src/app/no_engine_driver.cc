// Stands in for llamacpp_driver.cc in a build without the embedded engine.
#include "app/engine_report.h"
#include "app/llamacpp_driver.h"

namespace moecap::app {
namespace {

constexpr const char* kNoEngine = "this moecap was built without the embedded engine; configure with -DMOECAP_LLAMA=prebuilt";

}  // namespace

experiment::DriverFactory LlamaCppDriverFactory(const Clock&) {
  return [](const experiment::SystemConfig&, const experiment::Config&) -> Result<std::unique_ptr<experiment::SystemDriver>> {
    return BadInput(kNoEngine);
  };
}

Result<EngineReport> ReportEngine() { return BadInput(kNoEngine); }

}  // namespace moecap::app
