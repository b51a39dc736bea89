#include "audit/evaluate.h"

#include <fmt/format.h>

#include "audit/evaluators.h"

namespace moecap::audit {

Result<model::ModelSpec> FindModel(const Name& name, const Claim& claim, const Sources& sources) {
  const std::string where = fmt::format("{}:{}", claim.file, name.line);
  const auto entry = sources.models.Find(name.text);
  if (!entry.ok()) return Annotate(where, entry.error());
  auto spec = model::SpecOf(*entry, name.text);
  if (!spec.ok()) return Annotate(where, spec.error());
  return spec;
}

Result<hardware::Device> FindDevice(const Name& name, const Claim& claim, const Sources& sources) {
  auto device = sources.devices.FindDevice(name.text);
  if (!device.ok()) return Annotate(fmt::format("{}:{}", claim.file, name.line), device.error());
  return device;
}

record::PassRecord DecodePass(int64_t batch, int64_t context_tokens) {
  record::PassRecord pass;
  pass.kind = record::PassKind::kDecode;
  pass.latency_s = 1;
  pass.sequences = {{context_tokens, 1, batch}};
  pass.distinct_experts_source = record::Source::kEstimated;
  return pass;
}

Error LacksValue(const Name& name, const Claim& claim, std::string_view what) {
  return BadInput(fmt::format("{}:{}: the catalogue has no {} of {}; choose a device that has one", claim.file, name.line, what,
                              name.text));
}

Result<ClaimReport> Evaluate(const Claim& claim, const Sources& sources) {
  ClaimReport report;
  report.id = claim.id;
  report.kind = claim.kind;
  report.source = claim.source;
  RETURN_IF_ERROR(std::visit([&](const auto& inputs) { return Fill(inputs, claim, sources, report); }, claim.inputs));
  for (Figure& figure : report.figures) figure.tolerance = claim.tolerance;
  if (!claim.note.empty()) report.reasons.push_back(claim.note);
  return report;
}

}  // namespace moecap::audit
