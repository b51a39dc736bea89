// Machine files: parsed, priced, and written back as they are stored.
#include <cmath>
#include <nlohmann/json.hpp>

#include "cost/machine_file.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const hardware::Catalogue kCatalogue = *hardware::Catalogue::Builtin();
  static const cost::PriceBook kBook = *cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  const auto file = cost::ParseMachineFile(fuzz::Text(data, size), "fuzz.yaml");
  if (!file.ok()) {
    CHECK(file.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  const std::string text = DumpJson(cost::ToJson(file->machine));
  const auto again = cost::ParseMachineFile(text, "again");
  CHECK(again.ok() && DumpJson(cost::ToJson(again->machine)) == text);
  for (const cost::PoolRates& rates : file->pools) {
    const cost::TokenCost tokens = cost::CombinePools(std::vector{cost::HourOf(rates, 1)});
    if (tokens.input_usd)
      CHECK(std::abs(*tokens.input_usd + tokens.cached_usd.value_or(0) + *tokens.output_usd - tokens.bill_usd) <=
            1e-9 * tokens.bill_usd);
  }
  const auto priced = cost::PriceMachine(file->machine, kCatalogue, kBook);
  if (!priced.ok()) return 0;
  cost::DescribeInputs(priced->inputs);
  const cost::Range usd = cost::UsdPerUsefulHour(priced->inputs, cost::Pay::kBuy);
  if (usd.low && usd.high && std::isfinite(*usd.high)) CHECK(*usd.low <= *usd.high * (1 + 1e-9));
  return 0;
}
