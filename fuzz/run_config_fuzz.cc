// Run configurations: YAML, and the JSON of the manifest that it becomes.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "run/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto config = run::ParseRunConfig(fuzz::Text(data, size), "fuzz.yaml", "base");
  if (!config.ok()) {
    CHECK(config.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  const std::string text = DumpJson(run::ToJson(*config));
  const auto json = ParseJson(text);
  CHECK(json.ok());
  const auto again = run::RunConfigFromJson(*json);
  CHECK(again.ok() && DumpJson(run::ToJson(*again)) == text);
  return 0;
}
