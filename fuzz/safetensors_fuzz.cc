// Headers of safetensors files; the same bytes as a shard index.
#include "fuzz/fuzz.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto header = model::ParseSafetensorsPrefix(fuzz::Bytes(data, size));
  if (header.ok() && header->has_value()) {
    CHECK((*header)->Elements() >= 0 && (*header)->Bytes() >= 0 && (*header)->Bytes() <= (*header)->file_bytes);
  }
  const auto index = model::ParseSafetensorsIndex(fuzz::Text(data, size));
  if (index.ok()) CHECK(index->shards.size() <= index->tensors);
  return 0;
}
