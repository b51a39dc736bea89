// Tier files: parsed, and every one that is accepted serves every read.
#include <cmath>
#include <numeric>

#include "fuzz/fuzz.h"
#include "metrics/tiers_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const hardware::Catalogue kCatalogue = *hardware::Catalogue::Builtin();
  const auto file = metrics::ParseTiersFile(fuzz::Text(data, size), "fuzz.yaml", kCatalogue);
  if (!file.ok()) {
    CHECK(file.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  for (const double distinct : {1.0, 8.0, 128.0}) {
    const std::vector<double> reads = metrics::ReadShares(file->system, distinct, 128);
    CHECK(std::abs(std::accumulate(reads.begin(), reads.end(), 0.0) - 1) < 1e-5);
    for (const double share : reads) CHECK(share >= -1e-9);
  }
  return 0;
}
