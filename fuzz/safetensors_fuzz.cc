// Headers of safetensors files, and what a checkpoint of such tensors holds; the same bytes as a shard index.
#include <cmath>
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto header = model::ParseSafetensorsPrefix(fuzz::Bytes(data, size));
  if (header.ok() && header->has_value()) {
    CHECK((*header)->Elements() >= 0 && (*header)->Bytes() >= 0 && (*header)->Bytes() <= (*header)->file_bytes);
    const model::CheckpointInventory inventory = model::TakeInventory((*header)->tensors, 0, {});
    CHECK(std::abs(inventory.bytes) <= static_cast<double>((*header)->Bytes()) + 1);
    const model::ModelSpec spec = model::SpecFromInventory(inventory, Json::object(), "fuzz");
    CHECK(!spec.computes && spec.ResidentBytes() <= inventory.bytes + 1);
    CHECK(spec.TotalParams() >= 0 && spec.ActiveParams() <= spec.TotalParams());
  }
  const auto index = model::ParseSafetensorsIndex(fuzz::Text(data, size));
  if (index.ok()) CHECK(index->shards.size() <= index->tensors && index->names.size() == index->tensors);
  return 0;
}
