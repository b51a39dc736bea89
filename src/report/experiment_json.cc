#include "report/experiment_json.h"

#include <fmt/format.h>

#include "report/judgement_fields.h"

namespace moecap::cap {

void Fields(auto& archive, JsonFieldsOf<JudgedExperiment> auto& experiment) {
  Fields(archive, experiment.summary);
  archive("judgement", experiment.judgement);
}

}  // namespace moecap::cap

namespace moecap::report {

Json ExperimentToJson(const cap::JudgedExperiment& experiment) {
  Json json = {{"schema", kSummarySchema}};
  json.update(ToJsonFields(experiment));
  return json;
}

Result<cap::JudgedExperiment> ExperimentFromJson(const Json& json) {
  const auto schema = json.is_object() ? json.find("schema") : json.end();
  if (schema == json.end() || *schema != kSummarySchema) {
    return BadInput(
        fmt::format("no summary of schema {}: print the experiment again with moecap report --json", kSummarySchema));
  }
  cap::JudgedExperiment experiment;
  std::optional<Error> error;
  json_fields::Reader(json, "", error).Read(json, "", experiment);
  if (error) return *std::move(error);
  return experiment;
}

}  // namespace moecap::report
