// Which kind of system MoE-CAP recommends for a machine, a batch size and a goal (its Table 7), as data.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cap/axis.h"

namespace moecap::cap {

struct DecisionRow {
  std::string tier;      // "workstation", "datacenter"
  std::string hardware;  // the device that the row was written for
  int least_batch = 1;
  std::optional<int> largest_batch;  // null = no upper end
  std::string primary, secondary;    // "latency", "cost", "accuracy", "throughput", "power"
  std::string system, configuration, reason, use_case;
};

struct DecisionMatrix {
  std::string source;
  std::vector<DecisionRow> rows;
};

// Error: kBadInput naming the row and the key.
Result<DecisionMatrix> ParseDecisionMatrix(std::string_view json);
// What ships with the program: catalog/decision_matrix.json.
const std::string& BuiltinDecisionMatrixText();
DecisionMatrix BuiltinDecisionMatrix();

// "latency" for times, "throughput" for rates, "cost", "power", "accuracy": the matrix' word for an axis; empty where it has
// none.
std::string_view GoalOf(AxisId axis);

// The rows for a tier and a batch size, those whose primary goal is `goal` first, then those with it as the secondary one. A
// batch size that two rows share belongs to both. Empty for a tier that the matrix lacks.
std::vector<DecisionRow> FindDecisions(const DecisionMatrix& matrix, std::string_view tier, int batch, std::string_view goal);

// One row beside what was measured.
struct Advice {
  DecisionRow row;
  AxisId axis = AxisId::kAccuracy;            // on which the systems were ranked
  std::vector<std::string> measured_ranking;  // labels, best first; those without a figure are left out
  std::string sentence;                       // "latency: the paper recommends ...; measured here: ..."
};

struct DecisionAdvice {
  std::string source;
  std::string tier;         // empty: not known
  std::string tier_source;  // why this one
  int batch = 0;            // the concurrency of the comparison
  std::vector<Advice> rows;
};

}  // namespace moecap::cap
