// The mapping `workload` of a load test. What is accepted survives the manifest, and its lengths can be drawn.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "workload/workload_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto node = ParseYaml(fuzz::Text(data, size), "fuzz");
  if (!node.ok()) return 0;
  YamlErrors errors("fuzz");
  const workload::WorkloadConfig config = workload::ReadWorkload(*node, "/base", errors);
  if (!errors.empty()) return 0;
  CHECK(workload::CheckDistribution(config.input_tokens).ok());
  Rng rng(config.seed);
  const int64_t tokens = workload::DrawInteger(config.input_tokens, rng);
  CHECK(tokens >= 1 && tokens <= workload::kMostLength);
  const Json json = workload::ToJson(config);
  // A path that is not UTF-8 cannot be written as JSON.
  if (DumpJson(json).find("\xef\xbf\xbd") != std::string::npos) return 0;
  const auto back = workload::WorkloadFromJson(json);
  CHECK(back.ok());
  CHECK(DumpJson(workload::ToJson(*back)) == DumpJson(json));
  return 0;
}
