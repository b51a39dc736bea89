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

// What ships with the program (catalog/decision_matrix.json).
Result<DecisionMatrix> BuiltinDecisionMatrix();
// Error: kBadInput naming the key.
Result<DecisionMatrix> ParseDecisionMatrix(std::string_view json);

// The rows for a tier, a batch size and a primary goal, best fit first: all three fit, then those whose goal is only secondary.
std::vector<DecisionRow> FindDecisions(const DecisionMatrix& matrix, std::string_view tier, int batch, std::string_view goal);

// The paper's advice beside what was measured.
struct DecisionAdvice {
  std::string source;
  std::string tier;  // of the hardware; empty: not known
  int batch = 0;
  std::string goal;
  std::vector<DecisionRow> recommended;
  std::vector<std::string> measured_ranking;  // labels, best first on the goal's axis
  std::string sentence;                       // "the paper recommends ...; measured here: ..."
};

// "latency" for times, "throughput" for rates, "cost", "power", "accuracy": the matrix' word for an axis; empty where it has
// none.
std::string_view GoalOf(AxisId axis);

}  // namespace moecap::cap
