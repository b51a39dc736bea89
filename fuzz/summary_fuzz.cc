// Stored summaries: one that was read can be written, read again as the same, and rendered.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "report/markdown.h"
#include "report/summary_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto json = ParseJson(fuzz::Text(data, size));
  if (!json.ok()) return 0;
  const auto summary = report::SummaryFromJson(*json);
  if (!summary.ok()) return 0;
  const std::string text = DumpJson(report::SummaryToJson(*summary));
  const auto again = report::SummaryFromJson(*ParseJson(text));
  CHECK(again.ok() && DumpJson(report::SummaryToJson(*again)) == text);
  return 0;
}
