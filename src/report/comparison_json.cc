#include "report/comparison_json.h"

#include "report/judgement_fields.h"

namespace moecap::cap {

void Fields(auto& archive, JsonFieldsOf<ComparedExperiment> auto& experiment) {
  archive("run_id", experiment.run_id);
  archive("started_at", experiment.started_at);
  archive("moecap_version", experiment.moecap_version);
  archive("model", experiment.model);
  archive("dataset", experiment.dataset);
  archive("contract", experiment.contract);
  archive("workload", experiment.workload);
  archive("hardware", experiment.hardware);
  archive("complete", experiment.complete);
}

void Fields(auto& archive, JsonFieldsOf<Mismatch> auto& mismatch) {
  archive("what", mismatch.what);
  archive("values", mismatch.values);
  archive("intended", mismatch.intended);
}

void Fields(auto& archive, JsonFieldsOf<ComparedCell> auto& cell) {
  archive("label", cell.label);
  archive("experiment", cell.experiment);
  archive("system", cell.system);
}

void Fields(auto& archive, JsonFieldsOf<Comparison> auto& comparison) {
  archive("warnings", comparison.warnings);
  archive("experiments", comparison.experiments);
  archive("mismatches", comparison.mismatches);
  archive("baseline", comparison.baseline);
  archive("cells", comparison.cells);
  archive("judgement", comparison.judgement);
}

}  // namespace moecap::cap

namespace moecap::report {

Json ComparisonToJson(const cap::Comparison& comparison) {
  Json json = {{"schema", kComparisonSchema}};
  json.update(ToJsonFields(comparison));
  return json;
}

}  // namespace moecap::report
