// config.json of Hugging Face, and the shapes that one describes.
#include "fuzz/fuzz.h"
#include "model/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto spec = model::SpecFromConfigText(fuzz::Text(data, size), "fuzz");
  if (!spec.ok()) return 0;
  CHECK(spec->TotalParams() > 0 && spec->ActiveParams() >= 0 && spec->ActiveParams() <= spec->TotalParams());
  CHECK(spec->WeightBytes() > 0 && spec->KvElementsPerToken() >= 0 && spec->StateElementsPerSequence() >= 0);
  return 0;
}
