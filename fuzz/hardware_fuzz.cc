// Hardware catalogues: a user's layer of its own, and laid over another.
#include <array>
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "hardware/catalogue.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const hardware::CatalogueLayer kBase{
      "base",
      R"({"devices": [{"id": "a", "vendor": "V", "name": "A", "class": "datacenter", "year": 2020, "memory_type": "HBM2",
                 "memory_gib": 32, "bandwidth_gb_per_s": 900, "dense_tflops": {"fp16": 125}, "tdp_w": 300, "date": "2026-01",
                 "confidence": "medium", "source": "s"}]})"};
  const hardware::CatalogueLayer user{"user", std::string(fuzz::Text(data, size))};
  for (const auto& layers : {std::vector{user}, std::vector{kBase, user}}) {
    const auto catalogue = hardware::Catalogue::Parse(layers);
    if (!catalogue.ok()) continue;
    for (const auto& device : catalogue->devices()) {
      CHECK(catalogue->FindDevice(device.id).ok());
      CHECK(ParseJson(DumpJson(hardware::ToJson(device))).ok());
      catalogue->MatchAccelerator(device.name, 32e9);
    }
  }
  return 0;
}
