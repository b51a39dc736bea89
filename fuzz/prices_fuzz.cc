// Price lists: alone, and laid over the built-in one.
#include "cost/prices.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const hardware::Catalogue kCatalogue = *hardware::Catalogue::Builtin();
  static const cost::PriceBook kBook = *cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  const std::string_view text = fuzz::Text(data, size);
  const auto alone = cost::PriceBook::Parse(text);
  const auto over = kBook.With(text, kCatalogue);
  CHECK(alone.ok() || !over.ok());
  if (!over.ok()) return 0;
  CHECK(over->prices().size() >= kBook.prices().size());
  for (const cost::Price& price : over->prices()) CHECK(price.typical.value_or(0) >= 0);
  return 0;
}
