#include "report/experiment_json.h"

#include <fmt/format.h>

#include "report/judgement_fields.h"

namespace moecap::report {

Json ExperimentToJson(const cap::JudgedExperiment& experiment) {
  Json json = {{"schema", kSummarySchema}};
  json.update(ToJsonFields(experiment.summary));
  json["judgement"] = ToJsonFields(experiment.judgement);
  return json;
}

Result<cap::JudgedExperiment> ExperimentFromJson(const Json& json) {
  const auto schema = json.is_object() ? json.find("schema") : json.end();
  if (schema == json.end() || *schema != kSummarySchema) {
    return BadInput(fmt::format("no summary of schema {}: print the experiment again with moecap report --json", kSummarySchema));
  }
  cap::JudgedExperiment experiment;
  ASSIGN_OR_RETURN(experiment.summary, FromJsonFields<cap::ExperimentSummary>(json));
  const auto judgement = json.find("judgement");
  if (judgement == json.end()) return BadInput("judgement: missing");
  ASSIGN_OR_RETURN(experiment.judgement, FromJsonFields<cap::Judgement>(*judgement, "judgement"));
  return experiment;
}

}  // namespace moecap::report
