// A second set of public measurements that no multiplier was fitted on and no band was made of: figures of other people's
// pages, one a row with its source (published_serving.csv).
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "planner/fit.h"

namespace moecap::bench {

struct PublishedRow {
  std::string source, place, model, gpu;
  planner::Observation observation;  // a closed loop; its times where the source has them
  std::optional<double> output_tokens_per_s;
};

struct PublishedSet {
  hardware::Catalogue devices;
  model::ModelCatalogue models;
  std::deque<hardware::Device> used = {};     // that the rows point to
  std::deque<planner::ModelWork> works = {};  // ...
  std::vector<PublishedRow> rows = {};
};

// Columns: source, place, model, weights and kv ("" = as the catalogue has them), device, system, version, tensor, expert,
// pipeline, data, clients, input_tokens, output_tokens, ttft_s, tpot_s, output_tokens_per_s; lines that begin with # are
// remarks. Error: kBadInput naming file and line.
Status ReadPublishedRows(const std::string& path, PublishedSet& set);

// How far off the shipped multipliers are on it, how many rows lie inside the bands, which of two GPU types is faster.
void PrintPublished(const PublishedSet& set, const planner::Multipliers& multipliers);

}  // namespace moecap::bench
