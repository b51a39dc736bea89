#include "experiment/expert_questions.h"

#include <set>
#include <string_view>
#include <utility>

namespace moecap::experiment {

Result<std::vector<const ToldExperts*>> ExpertQuestions::Tell(std::span<const load::RequestSpec> specs,
                                                              const Measurement& measurement,
                                                              std::span<const record::RequestRecord> requests,
                                                              const Asker& asker, ServerPassFacts& facts) {
  std::vector<const ToldExperts*> told(requests.size());
  if (measurement.level.kind == record::LoadKind::kUsers) {
    facts.experts_missing = "the prompts of a conversation depend on the answers, so they cannot be sent once more";
    return told;
  }
  if (const auto refused = refused_.find(measurement.system); refused != refused_.end()) {
    facts.experts_missing = refused->second;
    return told;
  }
  std::map<std::string, ToldExperts>& known = told_[measurement.system];
  if (!again_) known.clear();
  std::set<std::string_view> sent;
  for (const record::RequestRecord& request : requests) sent.insert(request.id);
  std::vector<load::RequestSpec> missing;
  for (const load::RequestSpec& spec : specs) {
    if (sent.contains(spec.id) && !known.contains(spec.id)) missing.push_back(spec);
  }
  if (!missing.empty()) {
    asker.on_ask();
    auto asked = asker.driver.AskForExperts(missing, asker.connections, asker.stop_requested);
    if (!asked.ok() && asked.error().kind == ErrorKind::kInterrupted) return asked.error();
    if (!asked.ok()) {
      facts.experts_missing = asked.error().message;
      if (asked.error().kind == ErrorKind::kBadInput) refused_[measurement.system] = facts.experts_missing;
      return told;
    }
    facts.findings = std::move(asked->findings);
    for (size_t i = 0; i < missing.size(); ++i) known[missing[i].id] = std::move(asked->answers[i]);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto found = known.find(requests[i].id);
    if (found == known.end()) continue;
    told[i] = &found->second;
    if (!found->second.missing.empty()) facts.experts_missing = found->second.missing;
  }
  return told;
}

}  // namespace moecap::experiment
