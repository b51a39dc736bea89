#include "analysis/identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <set>

#include "analysis/figure_limits.h"
#include "base/units.h"

namespace moecap::analysis {
namespace {

std::string Joined(const std::set<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ", ")); }

// Of the systems that tell; equal = the same. `words` is for people.
struct Identity {
  std::set<std::string> exact, words;
  bool is_whole = true;  // all systems told
};

// The machine of the system, never that of a server's client.
Identity HardwareOf(const Participants& participants) {
  Identity identity;
  const hardware::HostInfo& host = participants.experiment->manifest.host;
  for (const experiment::PricedSystem* system : participants.systems) {
    const bool on_host = system->description.in_process && system->description.devices.gpus.empty();
    if (!system->machine.empty() && !on_host) {
      identity.exact.insert(system->machine);
      identity.words.insert(system->machine);
    } else if (system->description.RunsHere()) {
      identity.exact.insert(hardware::HostFingerprint(host));
      identity.words.insert(fmt::format("{}, {} of {} CPUs, {} DRAM",
                                        host.cpu_model.empty() ? "processor not told" : host.cpu_model, host.UsableThreads(),
                                        host.logical_cpus, host.dram_bytes ? FormatBytes(*host.dram_bytes) : "unknown"));
    } else {
      identity.is_whole = false;
    }
  }
  return identity;
}

Identity ModelsOf(const Participants& participants) {
  Identity identity;
  for (const experiment::PricedSystem* system : participants.systems) {
    const model::ModelSpec& model = system->description.model;
    if (model.layers.empty()) {
      identity.is_whole = false;
    } else {
      identity.exact.insert(ModelIdentity(model));
    }
  }
  identity.words = identity.exact;
  return identity;
}

// The file's name, how its problems were picked, and a hash of their ids: the same problems from another folder are the same.
Identity DatasetOf(const Participants& participants) {
  const StoredExperiment& stored = *participants.experiment;
  const auto& problems = stored.manifest.config.problems;
  if (!problems) return {};
  std::set<std::string> ids;
  for (const cap::SystemSummary& system : stored.summary.systems) {
    for (const cap::CellSummary& cell : system.cells) {
      for (const cap::ProblemScore& item : cell.items) ids.insert(item.id);
    }
  }
  std::string all;
  for (const std::string& id : ids) all += id + "\n";
  const std::string seed = problems->seed ? fmt::format(", seed {}", *problems->seed) : "";
  const std::string text =
      fmt::format("{}, {} problems{} (ids {:08x})", problems->is_named ? problems->dataset : problems->path.filename().string(),
                  stored.manifest.problems, seed, static_cast<uint32_t>(XXH3_64bits(all.data(), all.size())));
  return {{text}, {text}, true};
}

Identity ContractOf(const Participants& participants) {
  const experiment::Config& config = participants.experiment->manifest.config;
  if (!config.problems) return {};
  const std::string text = fmt::format("{}, at most {} output tokens, context of {}", ScoringName(config.problems->scoring),
                                       config.max_output_tokens, config.context_tokens);
  return {{text}, {text}, true};
}

// Of experiments without right answers: what is sent.
Identity WorkloadOf(const Participants& participants) {
  const experiment::Manifest& manifest = participants.experiment->manifest;
  const std::string text = manifest.config.problems ? "problems of a data set" : manifest.workload;
  return {{text}, {text}, true};
}

struct Respect {
  const char* name;
  Identity (*identity)(const Participants& participants);
  std::string cap::ComparedExperiment::*words;
  const char* why;  // it matters
};

const Respect kRespects[] = {
    {"model", ModelsOf, &cap::ComparedExperiment::model, "accuracy and speed are those of the model"},
    {"dataset", DatasetOf, &cap::ComparedExperiment::dataset, "accuracy, lengths and so speed depend on the problems"},
    {"contract", ContractOf, &cap::ComparedExperiment::contract, "accuracy depends on how answers are bounded and scored"},
    {"workload", WorkloadOf, &cap::ComparedExperiment::workload, "times depend on the lengths and the order of what is sent"},
    {"hardware", HardwareOf, &cap::ComparedExperiment::hardware, "times and costs are those of the machine"},
};

}  // namespace

std::vector<std::string> MismatchNames() { return {"hardware", "model", "dataset", "contract", "workload"}; }

cap::ComparedExperiment Describe(const Participants& participants) {
  const experiment::Manifest& manifest = participants.experiment->manifest;
  cap::ComparedExperiment described;
  described.run_id = manifest.run_id;
  described.started_at = manifest.started_at;
  described.moecap_version = manifest.moecap_version;
  described.complete = manifest.complete;
  for (const Respect& respect : kRespects) described.*respect.words = Joined(respect.identity(participants).words);
  return described;
}

std::vector<cap::Mismatch> FindMismatches(std::span<const Participants> participants,
                                          std::span<const cap::ComparedExperiment> described,
                                          const std::vector<std::string>& by) {
  std::vector<cap::Mismatch> mismatches;
  for (const Respect& respect : kRespects) {
    std::set<std::string> identities, words;
    cap::Mismatch mismatch{respect.name, {}, std::ranges::count(by, respect.name) != 0};
    std::vector<std::string> exact;
    for (size_t i = 0; i < participants.size(); ++i) {
      const Identity identity = respect.identity(participants[i]);
      exact.push_back(Joined(identity.exact));
      if (!identity.exact.empty()) identities.insert(exact.back());
      const std::string& told = described[i].*respect.words;
      mismatch.values.push_back(told.empty() ? "not told" : told);
      words.insert(mismatch.values.back());
    }
    if (identities.size() < 2) continue;
    if (words.size() < 2) mismatch.values = exact;  // told apart by more than the words say
    mismatches.push_back(std::move(mismatch));
  }
  return mismatches;
}

std::string InWords(const cap::Mismatch& mismatch, std::span<const cap::ComparedExperiment> experiments) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < experiments.size(); ++i)
    parts.push_back(fmt::format("{} has {}", experiments[i].run_id, mismatch.values[i]));
  return fmt::format("{}", fmt::join(parts, "; "));
}

Error Refusal(std::span<const cap::Mismatch> unintended, std::span<const cap::ComparedExperiment> experiments) {
  std::vector<std::string> names, parts;
  for (const cap::Mismatch& mismatch : unintended) {
    const auto respect = std::ranges::find_if(kRespects, [&](const Respect& one) { return mismatch.what == one.name; });
    names.push_back(mismatch.what);
    parts.push_back(fmt::format("{}: {} ({})", mismatch.what, InWords(mismatch, experiments), respect->why));
  }
  return BadInput(fmt::format(
      "the runs differ in {}, so their systems would not be compared alike. {}. Pass --by {} if that is what you want to "
      "compare, or --force to compare them all the same",
      fmt::join(names, " and "), fmt::join(parts, ". "), fmt::join(names, ",")));
}

std::vector<std::string> Unchecked(std::span<const Participants> participants) {
  std::vector<std::string> sentences;
  if (participants.size() < 2) return sentences;
  std::set<std::string> machines, models;
  for (const Participants& one : participants) {
    if (!HardwareOf(one).is_whole) machines.insert(one.experiment->manifest.run_id);
    if (!ModelsOf(one).is_whole) models.insert(one.experiment->manifest.run_id);
  }
  if (!machines.empty())
    sentences.push_back(
        fmt::format("the machine of a server of {} is not told, so whether the systems share their hardware was not checked; a "
                    "configuration "
                    "may name it: machine: 8 x h100-sxm",
                    Joined(machines)));
  if (!models.empty())
    sentences.push_back(
        fmt::format("a server of {} does not tell what it runs but by name, so whether the models are the same was "
                    "not checked",
                    Joined(models)));
  return sentences;
}

}  // namespace moecap::analysis
