// Public measurements that no multiplier was fitted on: figures of other people's pages, one a row with its source
// (published_serving.csv, published_later.csv). One source says what a launch that nobody tuned takes.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "planner/fit.h"
#include "planner/system_support.h"

namespace moecap::bench {

struct PublishedRow {
  std::string file, source, place, model, gpu;
  std::string deployment;            // model, types, devices, system, layout: rows of one are loads of the same server
  planner::Observation observation;  // a closed loop; its times, and the limit of its launch, where the source has them
  double default_running = planner::kNoRunningLimit;  // that its system lets run in a replica, where its launch does not say
  std::optional<double> output_tokens_per_s;
};

struct PublishedSet {
  hardware::Catalogue devices;
  model::ModelCatalogue models;
  planner::SystemSupport systems;
  std::deque<hardware::Device> used = {};     // that the rows point to
  std::deque<planner::ModelWork> works = {};  // ...
  std::vector<PublishedRow> rows = {};
};

// Columns: source, place, model, weights and kv ("" = as the catalogue has them), device, system, version, tensor, expert,
// pipeline, data, clients, input_tokens, output_tokens, ttft_s, tpot_s, output_tokens_per_s, max_running (requests that the
// launch lets run at once in one replica, where the source says it); lines that begin with # are remarks. Error: kBadInput
// naming file and line.
Status ReadPublishedRows(const std::string& path, PublishedSet& set);

// What a launch with default settings takes beyond a tuned one: medians and 80 % of the deployments of SGLang's cookbook with
// one replica on devices that were fitted or of their generations, each counted once, `without` the named model ("" = all in).
// NaN where fewer than nine deployments are left.
struct DefaultLaunch {
  planner::LaunchEffect effect;
  int rows = 0, deployments = 0;
};
DefaultLaunch DefaultLaunchOf(const PublishedSet& set, const planner::Multipliers& multipliers,
                              const std::string& without = "");

// How far off the multipliers are on it, how many rows lie inside the bands of each launch (of the cookbook: bands made without
// the row's own model), which of two GPU types is faster.
void PrintPublished(const PublishedSet& set, const planner::Multipliers& multipliers);

}  // namespace moecap::bench
