// Claim files: reading, and every figure of what could be read.
#include <nlohmann/json.hpp>

#include "audit/claim_file.h"
#include "audit/evaluate.h"
#include "audit/render.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const auto* models = new model::ModelCatalogue(model::ModelCatalogue::Builtin().value());
  static const auto* devices = new hardware::Catalogue(hardware::Catalogue::Builtin().value());
  static const auto* prices = new cost::PriceBook(cost::PriceBook::Parse(cost::PriceBook::BuiltinText()).value());
  const auto file = audit::ParseClaimFile(fuzz::Text(data, size), "fuzz.yaml");
  if (!file.ok()) {
    CHECK(file.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  audit::FileReport report{"fuzz.yaml", file->publication, file->title, {}};
  for (const audit::Claim& claim : file->claims) {
    const auto evaluated = Evaluate(claim, {*models, *devices, *prices});
    if (evaluated.ok())
      report.claims.push_back(*evaluated);
    else
      CHECK(evaluated.error().message.starts_with("fuzz.yaml:"));
  }
  CHECK(ParseJson(DumpJson(audit::ToJson({report}))).ok());
  CHECK(!audit::RenderText(report, 80, true).empty() && !audit::RenderMarkdown({report}).empty());
  return 0;
}
