#include "app/cli/plan_verbs.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "trace/recording.h"

namespace moecap::app {

void AddQuestionFlags(CLI::App& app, std::span<const std::string_view> keys, planner::QuestionText& text) {
  for (const planner::QuestionKey& key : planner::QuestionKeys()) {
    if (std::find(keys.begin(), keys.end(), key.name) == keys.end()) continue;
    app.add_option_function<std::string>(
           "--" + std::string(key.flag),
           [&text, name = std::string(key.name)](const std::string& value) { text.Set(name, value); }, std::string(key.help))
        ->check([](const std::string& value) { return value.empty() ? "is empty: give a value, or leave it out" : ""; });
  }
}

Result<std::unique_ptr<trace::TraceSource>> OpenTraceOf(const std::string& path, const model::ModelSpec& spec) {
  if (spec.MoeLayers() == 0) return BadInput(fmt::format("{} has no experts", spec.id));
  ASSIGN_OR_RETURN(std::unique_ptr<trace::TraceSource> source,
                   trace::OpenRecording({path}, std::nullopt, trace::OptionsFor(spec)));
  const trace::TraceHeader& header = source->header();
  if (header.experts != spec.Experts() || static_cast<int>(header.layers()) != spec.MoeLayers()) {
    return BadInput(fmt::format("{} is a trace of {} layers with {} experts; {} has {} with {}: name the model that was traced",
                                path, header.layers(), header.experts, spec.id, spec.MoeLayers(), spec.Experts()));
  }
  return source;
}

}  // namespace moecap::app
