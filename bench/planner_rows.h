// Public measurements of serving as observations of the planner: rows of aiconfigurator's silicon_sample.csv (Apache-2.0),
// which is not part of this repository.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "planner/fit.h"

namespace moecap::bench {

struct SiliconRow {
  planner::Observation observation;
  std::string id, model, family, gpu, precision;
  double usd_per_h = 0;  // of all its devices
};

// What the rows point to, and the rows themselves.
struct SiliconSample {
  hardware::Catalogue devices;
  model::ModelCatalogue models;
  std::map<std::string, hardware::Device> gpus = {};
  std::map<std::string, planner::ModelWork> works = {};
  std::map<std::string, model::ModelSpec> specs = {};
  std::vector<SiliconRow> rows = {};
  std::vector<SiliconRow> wide = {};  // several replicas, most with data-parallel attention: predicted, never fitted
  int left_out = 0, repeated = 0;
};

// Adds the rows of aggregated serving of MoE models, but for those whose id is among `known`; a measurement that stands in the
// file several times (equal in every digit) counts once. Left out: work in progress, layouts that no server accepts or whose
// columns contradict each other, and tensor parallelism over more than 8 devices, where the column holds the number of GPUs of
// a cluster whose layout is not said. Error: kBadInput for a file without a row of MoE models.
Status ReadSiliconSample(const std::string& path, const std::set<std::string>& known, SiliconSample& sample);

// The ids of all rows of a file.
Result<std::set<std::string>> IdsOfSiliconSample(const std::string& path);

std::vector<std::string> SplitCells(const std::string& line, char separator);

}  // namespace moecap::bench
