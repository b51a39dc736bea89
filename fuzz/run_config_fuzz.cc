// Configurations of experiments: an accepted text reads the same again, as the stored run needs it.
#include "experiment/config.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto config = experiment::ParseConfig(fuzz::Text(data, size), "fuzz.yaml", "/base");
  if (!config.ok()) {
    CHECK(config.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  const auto again = experiment::ParseConfig(config->text, "fuzz.yaml", config->base_dir);
  CHECK(again.ok() && again->text == config->text && again->systems.size() == config->systems.size());
  CHECK(!experiment::DescribeLoad(*config).empty());
  return 0;
}
