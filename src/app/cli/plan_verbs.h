// The questions of moecap plan that have flags of their own, one sub-verb a file, and what they share.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "app/cli/cli.h"
#include "model/model_spec.h"
#include "planner/question_file.h"
#include "trace/trace.h"

namespace moecap::app {

// Each adds a sub-verb to `plan` and returns what runs it.
struct PlanVerb {
  CLI::App* app = nullptr;
  Action run;
};
PlanVerb AddPlanDevices(CLI::App& plan);
PlanVerb AddPlanDrafts(CLI::App& plan);
PlanVerb AddPlanLoad(CLI::App& plan);
PlanVerb AddPlanApart(CLI::App& plan);
PlanVerb AddPlanRanks(CLI::App& plan);
PlanVerb AddPlanExperts(CLI::App& plan);
PlanVerb AddPlanTraining(CLI::App& plan);

// The flags of these keys of planner::QuestionKeys(), whose values are set in `text`, which must outlive the parsing.
void AddQuestionFlags(CLI::App& app, std::span<const std::string_view> keys, planner::QuestionText& text);

// A trace of this model: a recording's file or folder. Errors as of trace::OpenRecording; also where the trace has other layers
// or experts than the model.
Result<std::unique_ptr<trace::TraceSource>> OpenTraceOf(const std::string& path, const model::ModelSpec& spec);

}  // namespace moecap::app
