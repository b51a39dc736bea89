// Stored summaries: one that was read can be written, read again as the same, and rendered.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/render.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto json = ParseJson(fuzz::Text(data, size));
  if (!json.ok()) return 0;
  const auto experiment = report::ExperimentFromJson(*json);
  if (!experiment.ok()) return 0;
  const std::string text = DumpJson(report::ExperimentToJson(*experiment));
  const auto again = report::ExperimentFromJson(*ParseJson(text));
  CHECK(again.ok() && DumpJson(report::ExperimentToJson(*again)) == text);
  return 0;
}
