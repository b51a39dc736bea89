// Turns looks at a server, one after the other, into readings. Pure: who looks, and when, is the caller's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "live/experts.h"
#include "live/reading.h"
#include "load/engine_snapshot.h"
#include "metrics/utilization.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::live {

struct WatcherOptions {
  std::string url;                        // where it was asked for
  std::string server;                     // "vLLM 0.30.0"
  std::string model_name;                 // as the server lists it
  std::optional<model::ModelSpec> model;  // null: no figure needs it
  std::string model_missing;              // why there is none, one sentence
  metrics::Peaks peaks;
  std::optional<routing::ActivationSheet> sheet;  // of the model
};

// What one look brought.
struct Look {
  double time_s = 0;                           // of CLOCK_MONOTONIC, right after the answer came
  std::optional<load::EngineSnapshot> engine;  // null: it did not answer, or has no such page
  std::string why_none;                        // then, one sentence
  std::string model_name;                      // as the server lists it now; "" = it was not asked
  // Joules that the devices' counters have seen so far; null: none, with the reason.
  std::optional<double> energy_j;
  std::string energy_missing;
  // The engine's own record of its passes since the last look; null: there is none. `lost`: some are missing.
  std::optional<std::vector<record::PassRecord>> passes;
  bool passes_lost = false;
  Probes probes;  // since the watch began
};

class Watcher {
 public:
  explicit Watcher(WatcherOptions options);
  Watcher(const Watcher&) = delete;  // the experts refer to the model
  Watcher& operator=(const Watcher&) = delete;

  // The reading since the last look. The first look, one after which the server was started anew, and one that brought nothing
  // have no figures, only events and reasons. A restart or another model ends the sample of experts.
  Reading Take(const Look& look);

  // Over all windows that had figures; those that rest on the experts (S-MBU, S-MFU, distinct experts) over the windows since
  // their source became what it is. Ratios of the sums.
  Reading Summary() const;

  // Where answers with experts go; null without a model that has any.
  Experts* experts() { return experts_ ? &*experts_ : nullptr; }
  // What the server has done since the watch began: finished requests, tokens of prompts and answers.
  double seen_requests() const { return seen_requests_; }
  double seen_tokens() const { return seen_tokens_; }
  // Whether it serves another model than at first.
  bool model_changed() const { return listed_.first != listed_.last || labelled_.first != labelled_.last; }

 private:
  struct Served {
    std::string first, last;
  };
  std::string WhatChanged(const load::EngineSnapshot& engine, const Look& look);
  Sums SumsOf(const Window& window, const Look& look);
  void AddPasses(const Window& window, Sums& sums);
  void SayWho(Reading& reading) const;
  void Finish(const Look& look, Reading& reading) const;

  WatcherOptions options_;
  std::optional<Experts> experts_;
  std::optional<Look> last_;  // that brought something
  bool was_away_ = false, passes_were_lost_ = false;
  Served listed_, labelled_;  // by its list of models, and by the labels of its counters, which may be another of its names
  std::string model_name_;    // what was said last
  std::string passes_missing_, busy_missing_;
  bool context_known_ = true;
  Sums total_;
  ExpertSource total_source_ = ExpertSource::kNone;
  Reading newest_;
  double first_s_ = 0;
  double seen_requests_ = 0, seen_tokens_ = 0;
};

}  // namespace moecap::live
