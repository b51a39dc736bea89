// Claim files: reading, and every figure of what could be read.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "paper/claim_file.h"
#include "paper/evaluate.h"
#include "paper/render.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  static const auto* models = new model::ModelCatalogue(model::ModelCatalogue::Builtin().value());
  static const auto* devices = new hardware::Catalogue(hardware::Catalogue::Builtin().value());
  static const auto* prices = new cost::PriceBook(cost::PriceBook::Parse(cost::PriceBook::BuiltinText()).value());
  const auto file = paper::ParseClaimFile(fuzz::Text(data, size), "fuzz.yaml");
  if (!file.ok()) {
    CHECK(file.error().message.starts_with("fuzz.yaml"));
    return 0;
  }
  paper::FileReport report{"fuzz.yaml", file->publication, file->title, {}};
  for (const paper::Claim& claim : file->claims) {
    const auto evaluated = Evaluate(claim, {*models, *devices, *prices});
    if (evaluated.ok())
      report.claims.push_back(*evaluated);
    else
      CHECK(evaluated.error().message.starts_with("fuzz.yaml:"));
  }
  CHECK(ParseJson(DumpJson(paper::ToJson({report}))).ok());
  CHECK(!paper::RenderText(report, 80, true).empty() && !paper::RenderMarkdown({report}).empty());
  return 0;
}
