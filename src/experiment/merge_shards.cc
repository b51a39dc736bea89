#include "experiment/merge_shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fs.h"
#include "base/paths.h"
#include "experiment/resume.h"
#include "load/event_log.h"
#include "load/load_loop.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;

// A path itself, or the runs right below it.
Result<std::vector<fs::path>> ShardFolders(const std::vector<fs::path>& dirs) {
  std::vector<fs::path> folders;
  for (const fs::path& dir : dirs) {
    if (Results::IsExperiment(dir)) {
      folders.push_back(dir);
      continue;
    }
    std::error_code error;
    const size_t before = folders.size();
    for (auto child = fs::directory_iterator(dir, error); !error && child != fs::directory_iterator(); child.increment(error)) {
      if (Results::IsExperiment(child->path())) folders.push_back(child->path());
    }
    if (error) return BadInput(fmt::format("{}: {}", dir.string(), error.message()));
    if (folders.size() == before)
      return BadInput(
          fmt::format("{} holds no shard of a load: neither it nor a folder in it has a {}", dir.string(), kManifestName));
  }
  return folders;
}

constexpr int kMostShards = 100'000;

// Sorted by index. Error: kBadInput as of MergeShards, but for plans.
Result<std::vector<Results>> OpenShards(const std::vector<fs::path>& dirs) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> folders, ShardFolders(dirs));
  std::vector<Results> shards;
  for (const fs::path& folder : folders) {
    ASSIGN_OR_RETURN(Results shard, Results::Open(folder));
    if (!shard.manifest().shard) {
      return BadInput(fmt::format("{} is a whole run, no shard of a load; shards are made with: moecap load ... --shard I/N",
                                  folder.string()));
    }
    if (const Shard& own = shard.manifest().shard->shard; own.index < 0 || own.index >= own.count || own.count > kMostShards)
      return BadInput(fmt::format("{}: its manifest says shard {} of {}", folder.string(), own.index, own.count));
    shards.push_back(std::move(shard));
  }
  if (shards.empty()) return BadInput("give the folders of the shards");
  std::ranges::stable_sort(shards, {}, [](const Results& shard) { return shard.manifest().shard->shard.index; });
  return shards;
}

// What two shards of one load have in common.
std::vector<std::string> DifferencesOf(const Manifest& a, const Manifest& b) {
  std::vector<std::string> lines;
  if (a.shard->group != b.shard->group) lines.push_back(fmt::format("group: {} and {}", a.shard->group, b.shard->group));
  if (a.shard->shard.count != b.shard->shard.count)
    lines.push_back(fmt::format("number of shards: {} and {}", a.shard->shard.count, b.shard->shard.count));
  Manifest there = b;
  there.host = a.host;  // each has its own
  for (std::string& change : ChangesSince(a, there)) lines.push_back(std::move(change));
  return lines;
}

Status CheckTogether(const std::vector<Results>& shards) {
  for (size_t i = 1; i < shards.size(); ++i) {
    const ShardOfGroup &before = *shards[i - 1].manifest().shard, &own = *shards[i].manifest().shard;
    if (before.shard == own.shard && before.group == own.group) {
      return BadInput(fmt::format("{} is there twice: {} and {}; a load counts each of its shards once", InWords(own.shard),
                                  shards[i - 1].dir().string(), shards[i].dir().string()));
    }
    const std::vector<std::string> differences = DifferencesOf(shards.front().manifest(), shards[i].manifest());
    if (differences.empty()) continue;
    std::string text;
    for (const std::string& line : differences) text += "\n  " + line;
    return BadInput(fmt::format("{} and {} are no shards of one load; they differ:{}", shards.front().dir().string(),
                                shards[i].dir().string(), text));
  }
  return {};
}

bool Holds(const Results& shard, int index) { return shard.manifest().shard->shard.index == index; }

// Of each shard why there is nothing of it; empty = there is.
std::vector<std::string> WhyAbsent(const std::vector<fs::path>& dirs, const std::vector<Results>& shards) {
  const int count = shards.front().manifest().shard->shard.count;
  std::vector<std::string> absent(static_cast<size_t>(count));
  const bool one_by_one = std::ranges::any_of(dirs, &Results::IsExperiment);
  for (int i = 0; i < count; ++i) {
    if (std::ranges::any_of(shards, [i](const Results& shard) { return Holds(shard, i); })) continue;
    std::string& why = absent[static_cast<size_t>(i)];
    why = one_by_one ? "its folder was not given" : "its folder is missing";
    for (const fs::path& dir : dirs) {
      std::error_code error;
      const fs::path folder = dir / ShardFolderName({i, count});
      if (fs::is_directory(folder, error))
        why = fmt::format("{} holds no {}: it ended, or was killed, before it measured", folder.string(), kManifestName);
    }
  }
  return absent;
}

// The head-room of all clients together; null unless all know theirs.
std::optional<HeadRoom> SumOfHeadRoom(const std::vector<Results>& shards, const std::string& system) {
  HeadRoom sum;
  for (const Results& shard : shards) {
    const PricedSystem* own = shard.manifest().FindSystem(system);
    if (own == nullptr || !own->head_room) return std::nullopt;
    sum.tokens_per_s += own->head_room->tokens_per_s;
    sum.streams += own->head_room->streams;
  }
  return sum;
}

// "2026-01-31T12:00:00Z" -> "20260131-120000".
std::string CompactTime(const std::string& iso) {
  std::string compact;
  for (const char c : iso.substr(0, 19)) {
    if (c >= '0' && c <= '9') compact += c;
    if (c == 'T') compact += '-';
  }
  return compact;
}

Manifest ManifestOf(const std::vector<Results>& shards) {
  Manifest manifest = shards.front().manifest();
  for (const Results& shard : shards) manifest.started_at = std::min(manifest.started_at, shard.manifest().started_at);
  manifest.run_id = CompactTime(manifest.started_at) + "-" + manifest.config.name;
  manifest.merged_shards = manifest.shard->shard.count;
  manifest.shard.reset();
  manifest.measurements.clear();
  manifest.complete = false;
  manifest.energy_source.clear();
  for (PricedSystem& system : manifest.systems) {
    system.sheet_file.clear();
    system.head_room = SumOfHeadRoom(shards, system.description.name);
  }
  return manifest;
}

// One measurement as all shards made it.
class MergedMeasurement {
 public:
  // `absent`: of WhyAbsent.
  MergedMeasurement(const std::vector<Results>& shards, const std::vector<std::string>& absent, const Measurement& any)
      : shards_(shards) {
    whole_.system = any.system;
    whole_.level = any.level;
    whole_.repeat = any.repeat;
    whole_.shards = static_cast<int>(absent.size());
    for (int i = 0; i < whole_.shards; ++i)
      whole_.parts.push_back({.index = i, .missing = absent[static_cast<size_t>(i)], .clock = {}});
  }

  Status Store(Results& results) {
    whole_.threads = 0;
    whole_.ended_by = load::EndedBy::kAllSent;
    for (const Results& shard : shards_) RETURN_IF_ERROR(Add(shard));
    whole_.complete = std::ranges::all_of(whole_.parts, [](const ShardPart& part) { return part.missing.empty(); });
    if (records_.empty()) return {};  // no shard came so far as to write an event
    load::LoadResult joined = load::JoinParts(std::move(records_));
    whole_.ended_by = joined.ended_by;
    whole_.held_back = joined.held_back;
    whole_.cpu_s = joined.cpu_s;
    whole_.loop_s = joined.loop_s;
    whole_.ran_ahead = joined.ran_ahead;
    if (whole_.complete) RETURN_IF_ERROR(AddPasses(*results.manifest().FindSystem(whole_.system), joined));
    ASSIGN_OR_RETURN(whole_.name, results.Begin(whole_, plan_));
    for (size_t i = 0; i < logs_.size(); ++i) {
      const fs::path copy = results.EventLogFile(whole_.name, static_cast<int>(i));
      std::error_code error;
      if (!fs::copy_file(logs_[i], copy, error))
        return Failed(fmt::format("cannot copy {} to {}: {}", logs_[i].string(), copy.string(), error.message()));
    }
    // Answers lie beside all requests or beside none.
    return results.End(whole_, whole_.complete ? joined : load::LoadResult());
  }

  bool complete() const { return whole_.complete; }

 private:
  Status Add(const Results& shard) {
    const int index = shard.manifest().shard->shard.index;
    ShardPart& part = whole_.parts[static_cast<size_t>(index)];
    const auto& all = shard.manifest().measurements;
    const auto found = std::ranges::find_if(all, [&](const Measurement& m) {
      return m.system == whole_.system && m.level == whole_.level && m.repeat == whole_.repeat;
    });
    part.missing = "it was never begun there";
    if (found == all.end() || found->parts.empty()) return {};
    if (started_in_.empty()) {
      whole_.started_at = found->started_at;
      started_in_ = shard.dir();
    } else if (found->started_at != whole_.started_at) {
      return BadInput(
          fmt::format("{} began {} at {}, and {} at {}: their shards are of different loads; give all shards of a "
                      "load the same --start-at and --start-every, or let them meet",
                      started_in_.string(), found->name, whole_.started_at, shard.dir().string(), found->started_at));
    }
    part = found->parts.front();
    part.machine_use = found->machine_use;
    if (part.missing.empty() && !found->complete) part.missing = "it was killed, or goes on";
    RETURN_IF_ERROR(AddPlan(shard, *found));
    RETURN_IF_ERROR(AddRecords(shard, *found));
    AddServerView(*found);
    whole_.warmup_bursts = std::max(whole_.warmup_bursts, found->warmup_bursts);
    whole_.warmup_waves = std::max(whole_.warmup_waves, found->warmup_waves);
    if (found->warmup_difference)
      whole_.warmup_difference = std::max(whole_.warmup_difference.value_or(0), *found->warmup_difference);
    std::ranges::copy(found->control_answers, std::back_inserter(whole_.control_answers));
    return {};
  }

  // Every shard computes the whole plan.
  Status AddPlan(const Results& shard, const Measurement& measurement) {
    const fs::path file = shard.PlanFile(measurement.name);
    ASSIGN_OR_RETURN(std::string text, ReadFile(file));
    if (plan_text_.empty()) {
      plan_text_ = std::move(text);
      ASSIGN_OR_RETURN(plan_, shard.ReadPlan(measurement.name));
      plan_file_ = file;
    } else if (text != plan_text_) {
      return BadInput(fmt::format("{} and {} plan different requests, so that they are no shards of one load",
                                  plan_file_.string(), file.string()));
    }
    return {};
  }

  // Of a part that is whole every file must be; of another what can be read.
  Status AddRecords(const Results& shard, const Measurement& measurement) {
    if (measurement.complete) {
      ASSIGN_OR_RETURN(Facts facts, shard.ReadFacts(measurement));
      records_.push_back(std::move(facts.records));
    }
    for (int thread = 0; thread < measurement.threads; ++thread) {
      const fs::path file = shard.EventLogFile(measurement.name, thread);
      if (!measurement.complete) {
        auto log = load::ReadEventLog(file);
        if (!log.ok()) continue;
        records_.push_back(std::move(log->result));
      }
      logs_.push_back(file);
      ++whole_.threads;
    }
    return {};
  }

  // All requests together show what the server computed. No shard asked for experts, so they are estimated.
  Status AddPasses(const PricedSystem& system, load::LoadResult& joined) {
    if (!whole_.server_passes) return {};
    ServerPassFacts& facts = *whole_.server_passes;
    metrics::PassReconstruction passes;
    if (facts.prefill) {
      passes = metrics::ReconstructPasses(joined.requests, {*facts.prefill, facts.most_tokens});
    } else {
      passes.missing = "how this server forms its passes is not known";
    }
    facts.missing = passes.missing;
    if (!facts.missing.empty()) return {};
    facts.fit = passes.fit;
    if (system.description.model.MoeLayers() > 0)
      facts.experts_missing = "shards do not ask for them; moecap runs merge --ask-experts does";
    const std::vector<const ToldExperts*> told(joined.requests.size());
    RETURN_IF_ERROR(
        AddExperts(system.description.model, system.sheet ? &*system.sheet : nullptr, joined.requests, told, passes, facts));
    for (record::PassRecord& pass : passes.passes) pass.cell = {whole_.system, record::ClientsOf(whole_.level), whole_.repeat};
    joined.passes = std::move(passes.passes);
    return {};
  }

  // Every shard read the server's counters before the common start; who read them last saw the requests of all.
  void AddServerView(const Measurement& measurement) {
    if (whole_.server_change.empty()) whole_.server_change = measurement.server_change;
    if (!whole_.server_passes) whole_.server_passes = measurement.server_passes;
    const auto finished = [](const Measurement& m) {
      return m.server_counters ? m.server_counters->generated_tokens : std::nullopt;
    };
    if (measurement.server_counters && (!whole_.server_counters || finished(measurement) > finished(whole_))) {
      whole_.server_counters = measurement.server_counters;
      whole_.cached_tokens = measurement.cached_tokens;
    }
  }

  const std::vector<Results>& shards_;
  Measurement whole_;
  std::vector<load::LoadResult> records_;
  std::vector<PlanEntry> plan_;
  std::string plan_text_;
  fs::path plan_file_, started_in_;
  std::vector<fs::path> logs_;
};

// Every measurement that any shard began, in the order of the first that did.
std::vector<Measurement> MeasurementsOfAll(const std::vector<Results>& shards) {
  std::vector<Measurement> all;
  for (const Results& shard : shards) {
    for (const Measurement& measurement : shard.manifest().measurements) {
      const bool is_new = std::ranges::none_of(all, [&](const Measurement& m) {
        return m.system == measurement.system && m.level == measurement.level && m.repeat == measurement.repeat;
      });
      if (is_new) all.push_back(measurement);
    }
  }
  return all;
}

Status StoreMerged(const std::vector<Results>& shards, const std::vector<std::string>& absent, bool complete,
                   Results& results) {
  for (const Measurement& measurement : MeasurementsOfAll(shards)) {
    MergedMeasurement merged(shards, absent, measurement);
    RETURN_IF_ERROR(merged.Store(results));
    complete = complete && merged.complete();
  }
  return complete ? results.MarkComplete() : Status();
}

constexpr const char* kInstead = "merge without --ask-experts";

// Whether there is an answer whose experts can be asked for.
Status CheckAskable(const Manifest& merged) {
  if (!merged.complete) {
    std::string missing;
    for (const std::string& line : MissingShards(merged)) missing += "\n  " + line;
    return BadInput(fmt::format("no experts can be asked for while a part of the load is missing; {}, or complete it first:{}",
                                kInstead, missing));
  }
  std::string why;
  for (const Measurement& measurement : merged.measurements) {
    const model::ModelSpec& model = merged.FindSystem(measurement.system)->description.model;
    if (measurement.server_passes && MayAskForExperts(model, *measurement.server_passes)) return {};
    if (model.layers.empty()) {
      why =
          "no model of the server is given, and so no pass is known; measure again with --serves MODEL (model in a "
          "configuration)";
    } else if (model.MoeLayers() == 0) {
      why = fmt::format("{} has no experts", model.id);
    } else {
      why = measurement.server_passes ? measurement.server_passes->missing : "the shards did not learn how the server works";
    }
  }
  return BadInput(fmt::format("there are no experts to ask for: {}; {}", why.empty() ? "nothing was measured" : why, kInstead));
}

}  // namespace

std::vector<std::string> MissingShards(const Manifest& merged) {
  std::vector<std::string> lines;
  for (const std::string& note : merged.notes) {
    if (note.starts_with("shard ")) lines.push_back(note);
  }
  return lines;
}

Result<Results> MergeShards(const std::vector<fs::path>& dirs, const fs::path& results_dir, bool to_ask) {
  ASSIGN_OR_RETURN(const std::vector<Results> shards, OpenShards(dirs));
  RETURN_IF_ERROR(CheckTogether(shards));
  const std::vector<std::string> absent = WhyAbsent(dirs, shards);
  Manifest manifest = ManifestOf(shards);
  const int count = manifest.merged_shards;
  bool complete = std::ssize(shards) == count;
  for (int i = 0; i < count; ++i) {
    const auto found = std::ranges::find_if(shards, [i](const Results& shard) { return Holds(shard, i); });
    if (found != shards.end() && found->manifest().complete) continue;
    complete = false;
    manifest.notes.push_back(fmt::format("{}: {}", InWords({i, count}),
                                         found == shards.end()
                                             ? absent[static_cast<size_t>(i)]
                                             : "it did not end, or missed a measurement: killed, or still running"));
  }
  RETURN_IF_ERROR(MakeWritableDir(results_dir));
  // Not in sight before it is whole: a merge that was killed must not be taken for a load of which a part is missing.
  const fs::path hidden = HiddenName(results_dir / manifest.run_id, "tmp");
  Result<Results> results = Results::Create(hidden, std::move(manifest));
  Status stored;
  if (results.ok()) stored = StoreMerged(shards, absent, complete, *results);
  if (results.ok() && stored.ok() && to_ask) stored = CheckAskable(results->manifest());
  if (results.ok() && stored.ok()) stored = results->MoveTo(results_dir);
  std::error_code error;
  fs::remove_all(hidden, error);
  if (!stored.ok()) return stored.error();
  return results;
}

}  // namespace moecap::experiment
