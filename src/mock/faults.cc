#include "mock/faults.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/nearest_word.h"

namespace moecap::mock {
namespace {

struct Row {
  FaultKind kind;
  const char* name;
  double value;  // default
  double least, most;
  const char* meaning;
};

constexpr double kDay = 86400;
constexpr double kManyTokens = 1e9;

constexpr std::array kRows = {
    Row{FaultKind::kRefuse, "refuse", 0, 0, 0, "reset the connection when it is accepted"},
    Row{FaultKind::kStatus, "status", 503, 400, 599, "answer with this HTTP status; 429 and 503 carry Retry-After"},
    Row{FaultKind::kStallHeaders, "stall-headers", 3600, 0, kDay, "seconds of silence before the status line"},
    Row{FaultKind::kReset, "reset", 1, 0, kManyTokens, "reset the connection after so many tokens"},
    Row{FaultKind::kTruncate, "truncate", 1, 0, kManyTokens, "close the connection after so many tokens"},
    Row{FaultKind::kStall, "stall", 1, 0, kManyTokens, "an hour of silence after so many tokens"},
    Row{FaultKind::kErrorObject, "error-object", 1, 0, kManyTokens, "an error event after so many tokens, then the end"},
    Row{FaultKind::kAbort, "abort", 1, 0, kManyTokens, "finish reason \"abort\" after so many tokens"},
    Row{FaultKind::kBadChunk, "bad-chunk", 1, 0, kManyTokens, "an HTTP chunk size that is no number after so many tokens"},
    Row{FaultKind::kBadJson, "bad-json", 1, 0, kManyTokens, "an event that is no JSON after so many tokens"},
    Row{FaultKind::kDrip, "drip", 0.0001, 0, 10, "each byte in a write of its own, so many seconds apart"},
    Row{FaultKind::kSplitUtf8, "split-utf8", 0.001, 0, 10, "cut events inside a multi-byte letter, so many seconds apart"},
    Row{FaultKind::kNoDone, "no-done", 0, 0, 0, "no [DONE]"},
    Row{FaultKind::kNoFinish, "no-finish", 0, 0, 0, "no finish reason"},
    Row{FaultKind::kDoubleRole, "double-role", 0, 0, 0, "chat: the role event twice"},
    Row{FaultKind::kEarlyRole, "early-role", 0, 0, 0, "chat: the role event before the prompt is read"},
    Row{FaultKind::kEmptyDeltas, "empty-deltas", 0, 0, 0, "an event without text before each token"},
    Row{FaultKind::kNoTokens, "no-tokens", 0, 0, 0, "a stream that ends in order without a token"},
    Row{FaultKind::kUsageDelay, "usage-delay", 0.1, 0, kDay, "seconds before the final usage event"},
    Row{FaultKind::kComments, "comments", 0, 0, 0, "a comment line before each event"},
    Row{FaultKind::kCrlf, "crlf", 0, 0, 0, "lines that end in CR LF"},
    Row{FaultKind::kLongLine, "long-line", 1 << 30, 1, 1e12, "so many bytes without a newline after the headers"},
    Row{FaultKind::kHeaderFlood, "header-flood", 1e6, 1, 1e9, "so many header lines of 100 bytes"},
    Row{FaultKind::kDegrade, "degrade", 1, 0, kManyTokens,
        "other words in as many tokens while more requests than this are in flight"},
    Row{FaultKind::kCloseAfter, "close-after", 0, 0, 0, "close the connection after an answer that promised keep-alive"},
};

bool ReadNumber(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Error UnknownFault(std::string_view spec, std::string_view name) {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  const std::string nearest = NearestWord(name, names);
  if (!nearest.empty()) return BadInput(fmt::format("fault \"{}\": unknown; did you mean \"{}\"?", spec, nearest));
  return BadInput(fmt::format("fault \"{}\": unknown; known are {}", spec, fmt::join(names, ", ")));
}

}  // namespace

std::optional<double> FaultSet::Value(FaultKind kind) const {
  for (auto fault = faults_.rbegin(); fault != faults_.rend(); ++fault) {
    if (fault->kind == kind) return fault->value;
  }
  return std::nullopt;
}

Result<Fault> ParseFault(std::string_view spec) {
  std::string_view rest = Trim(spec);
  Fault fault;
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (!ReadNumber(rest.substr(at + 1), fault.probability) || fault.probability < 0 || fault.probability > 1) {
      return BadInput(fmt::format("fault \"{}\": the probability behind @ must be a number from 0 to 1", spec));
    }
    rest = rest.substr(0, at);
  }
  const size_t equals = rest.find('=');
  const std::string_view name = rest.substr(0, equals);
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    fault.kind = row.kind;
    fault.value = row.value;
    if (equals == std::string_view::npos) return fault;
    if (row.least == row.most) return BadInput(fmt::format("fault \"{}\": {} takes no value", spec, row.name));
    if (!ReadNumber(rest.substr(equals + 1), fault.value) || fault.value < row.least || fault.value > row.most) {
      return BadInput(
          fmt::format("fault \"{}\": the value of {} must be a number from {:g} to {:g}", spec, row.name, row.least, row.most));
    }
    return fault;
  }
  return UnknownFault(spec, name);
}

Result<std::vector<Fault>> ParseFaults(std::string_view specs) {
  std::vector<Fault> faults;
  for (size_t begin = 0; begin <= specs.size();) {
    const size_t end = std::min(specs.find(',', begin), specs.size());
    const std::string_view spec = Trim(specs.substr(begin, end - begin));
    begin = end + 1;
    if (spec.empty()) continue;
    ASSIGN_OR_RETURN(const Fault fault, ParseFault(spec));
    faults.push_back(fault);
  }
  return faults;
}

FaultSet DrawFaults(const std::vector<Fault>& faults, Rng& rng) {
  FaultSet set;
  for (const Fault& fault : faults) {
    if (fault.probability >= 1 || rng.Uniform() < fault.probability) set.Add(fault);
  }
  return set;
}

std::string DescribeFaults() {
  std::string text;
  for (const Row& row : kRows) {
    const std::string name = row.least == row.most ? row.name : fmt::format("{}={:g}", row.name, row.value);
    text += fmt::format("  {:<24}{}\n", name, row.meaning);
  }
  return text;
}

}  // namespace moecap::mock
