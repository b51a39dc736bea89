#include "cap/decision_matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/json.h"

namespace moecap::cap {
namespace {

constexpr std::string_view kGoals[] = {"latency", "cost", "accuracy", "throughput", "power"};

Status ReadText(const Json& row, const char* key, std::string& out) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_string() || found->get<std::string>().empty())
    return BadInput(fmt::format("\"{}\" is missing or not a text", key));
  out = found->get<std::string>();
  return {};
}

Status ReadGoal(const Json& row, const char* key, std::string& out) {
  RETURN_IF_ERROR(ReadText(row, key, out));
  if (std::find(std::begin(kGoals), std::end(kGoals), out) == std::end(kGoals))
    return BadInput(fmt::format("\"{}\" is \"{}\"; choose one of {}", key, out, fmt::join(kGoals, ", ")));
  return {};
}

// Null where the key is missing.
Result<std::optional<int>> ReadBatch(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) return std::optional<int>();
  const bool fits = found->is_number_integer() && *found >= 1 && *found <= 1000000;
  if (!fits) return BadInput(fmt::format("\"{}\" is not a whole number from 1 on", key));
  return std::optional(found->get<int>());
}

Result<DecisionRow> ReadRow(const Json& json) {
  if (!json.is_object()) return BadInput("not an object");
  DecisionRow row;
  RETURN_IF_ERROR(ReadText(json, "tier", row.tier));
  RETURN_IF_ERROR(ReadText(json, "hardware", row.hardware));
  RETURN_IF_ERROR(ReadGoal(json, "primary", row.primary));
  RETURN_IF_ERROR(ReadGoal(json, "secondary", row.secondary));
  RETURN_IF_ERROR(ReadText(json, "system", row.system));
  RETURN_IF_ERROR(ReadText(json, "configuration", row.configuration));
  RETURN_IF_ERROR(ReadText(json, "reason", row.reason));
  RETURN_IF_ERROR(ReadText(json, "use_case", row.use_case));
  ASSIGN_OR_RETURN(const auto least, ReadBatch(json, "least_batch"));
  ASSIGN_OR_RETURN(row.largest_batch, ReadBatch(json, "largest_batch"));
  row.least_batch = least.value_or(1);
  if (row.largest_batch && *row.largest_batch < row.least_batch) return BadInput("\"largest_batch\" is below \"least_batch\"");
  return row;
}

}  // namespace

Result<DecisionMatrix> ParseDecisionMatrix(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array())
    return BadInput("not a decision matrix: expected an object with a list \"rows\"");
  DecisionMatrix matrix;
  RETURN_IF_ERROR(ReadText(json, "source", matrix.source));
  for (size_t i = 0; i < json["rows"].size(); ++i) {
    auto row = ReadRow(json["rows"][i]);
    if (!row.ok()) return Annotate(fmt::format("rows[{}]", i), row.error());
    matrix.rows.push_back(*std::move(row));
  }
  return matrix;
}

DecisionMatrix BuiltinDecisionMatrix() {
  auto matrix = ParseDecisionMatrix(BuiltinDecisionMatrixText());
  CHECK(matrix.ok());
  return *std::move(matrix);
}

std::string_view GoalOf(AxisId axis) {
  switch (axis) {
    case AxisId::kTpot:
    case AxisId::kTtft:
    case AxisId::kE2e:
      return "latency";
    case AxisId::kOutputTokensPerS:
    case AxisId::kRequestsPerS:
    case AxisId::kGoodput:
      return "throughput";
    case AxisId::kUsdPerMillionOutputTokens:
    case AxisId::kUsdPerMillionTokens:
    case AxisId::kPurchaseUsd:
      return "cost";
    case AxisId::kPowerW:
    case AxisId::kJoulesPerOutputToken:
      return "power";
    case AxisId::kAccuracy:
      return "accuracy";
    default:
      return "";
  }
}

std::vector<DecisionRow> FindDecisions(const DecisionMatrix& matrix, std::string_view tier, int batch, std::string_view goal) {
  std::vector<DecisionRow> rows;
  for (const DecisionRow& row : matrix.rows) {
    if (row.tier == tier && batch >= row.least_batch && (!row.largest_batch || batch <= *row.largest_batch))
      rows.push_back(row);
  }
  const auto rank = [&](const DecisionRow& row) { return row.primary == goal ? 0 : row.secondary == goal ? 1 : 2; };
  std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return rows;
}

}  // namespace moecap::cap
