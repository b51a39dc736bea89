#include "workload/request_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/csv.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/lines.h"

namespace moecap::workload {
namespace {

using Cells = std::vector<std::string>;

std::string_view Trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

Result<double> ParseNumber(std::string_view text, std::string_view name) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return BadInput(fmt::format("{} is '{}', not a number", name, text));
  return value;
}

Result<int64_t> CheckTokens(double value, std::string_view name) {
  constexpr double kMostTokens = 1e9;
  if (value < 0 || value > kMostTokens || value != std::floor(value))
    return BadInput(fmt::format("{} is {:g}; it must be a whole number from 0 to {:g}", name, value, kMostTokens));
  return static_cast<int64_t>(value);
}

Result<int64_t> ParseTokens(std::string_view text, std::string_view name) {
  ASSIGN_OR_RETURN(const double value, ParseNumber(text, name));
  return CheckTokens(value, name);
}

// "2023-11-16 18:15:46.6805900", in seconds of an arbitrary origin. A zone at the end ("+00:00") is the same for all rows.
Result<double> ParseTimeOfDay(std::string_view text) {
  namespace chrono = std::chrono;
  const auto field = [&](size_t at, size_t length) {
    int value = -1;
    if (at + length <= text.size()) std::from_chars(text.data() + at, text.data() + at + length, value);
    return value;
  };
  const chrono::year_month_day date{chrono::year(field(0, 4)), chrono::month(static_cast<unsigned>(field(5, 2))),
                                    chrono::day(static_cast<unsigned>(field(8, 2)))};
  const int hour = field(11, 2), minute = field(14, 2);
  const std::string_view rest = text.size() > 17 ? text.substr(17) : std::string_view();
  const auto second = ParseNumber(rest.substr(0, rest.find_first_of("+Z")), "the second");
  if (!date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || !second.ok() || *second < 0 || *second >= 61)
    return BadInput(fmt::format("TIMESTAMP is '{}', not a time like 2023-11-16 18:15:46.68", text));
  const auto days = chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + *second;
}

// The columns of a published file.
class TraceColumns {
 public:
  // Errors name the column that is missing.
  static Result<TraceColumns> Of(TraceFormat format, const Cells& names) {
    TraceColumns reader;
    reader.format_ = format;
    const auto column = [&](std::string_view name) { return std::ranges::find(names, name) - names.begin(); };
    const bool azure = format == TraceFormat::kAzure;
    const std::string_view wanted[] = {azure ? "TIMESTAMP" : "Timestamp", azure ? "ContextTokens" : "Request tokens",
                                       azure ? "GeneratedTokens" : "Response tokens"};
    for (size_t i = 0; i < 3; ++i) {
      reader.columns_[i] = static_cast<size_t>(column(wanted[i]));
      if (reader.columns_[i] == names.size()) return BadInput(fmt::format("the column \"{}\" is missing", wanted[i]));
    }
    const auto session = static_cast<size_t>(column("Session ID"));
    if (session < names.size()) reader.session_ = session;
    return reader;
  }

  Result<TracedRequest> Parse(const Cells& cells) const {
    if (cells.size() <= std::max({columns_[0], columns_[1], columns_[2], session_.value_or(0)}))
      return BadInput(fmt::format("the row has {} cells, fewer than the header", cells.size()));
    TracedRequest request;
    if (format_ == TraceFormat::kAzure) {
      ASSIGN_OR_RETURN(request.at_s, ParseTimeOfDay(cells[columns_[0]]));
    } else {
      ASSIGN_OR_RETURN(request.at_s, ParseNumber(cells[columns_[0]], "Timestamp"));
    }
    ASSIGN_OR_RETURN(request.input_tokens, ParseTokens(cells[columns_[1]], "the number of input tokens"));
    ASSIGN_OR_RETURN(request.output_tokens, ParseTokens(cells[columns_[2]], "the number of output tokens"));
    if (session_) request.session = cells[*session_];
    return request;
  }

 private:
  TraceFormat format_ = TraceFormat::kBurstGpt;
  size_t columns_[3] = {};  // time, input, output
  std::optional<size_t> session_;
};

struct JsonKeys {
  const char *time, *input, *output, *blocks, *session;
  double time_unit_s;
};
constexpr JsonKeys kMooncakeKeys = {"timestamp", "input_length", "output_length", "hash_ids", "session_id", 1e-3};
constexpr JsonKeys kMoecapKeys = {"at_s", "input_tokens", "output_tokens", "prefix_blocks", "session", 1};

Result<double> NumberField(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end()) return BadInput(fmt::format("the key \"{}\" is missing", key));
  if (!found->is_number()) return BadInput(fmt::format("\"{}\" must be a number", key));
  return found->get<double>();
}

Result<TracedRequest> ParseJsonRequest(const std::string& text, const JsonKeys& keys) {
  ASSIGN_OR_RETURN(const Json line, ParseJson(text));
  if (!line.is_object()) return BadInput("the line is not a JSON object");
  TracedRequest request;
  ASSIGN_OR_RETURN(request.at_s, NumberField(line, keys.time));
  request.at_s *= keys.time_unit_s;
  ASSIGN_OR_RETURN(const double input, NumberField(line, keys.input));
  ASSIGN_OR_RETURN(request.input_tokens, CheckTokens(input, keys.input));
  ASSIGN_OR_RETURN(const double output, NumberField(line, keys.output));
  ASSIGN_OR_RETURN(request.output_tokens, CheckTokens(output, keys.output));
  if (const auto blocks = line.find(keys.blocks); blocks != line.end() && !blocks->is_null()) {
    if (!blocks->is_array()) return BadInput(fmt::format("\"{}\" must be a list of whole numbers", keys.blocks));
    for (const Json& id : *blocks) {
      if (!id.is_number_integer()) return BadInput(fmt::format("\"{}\" must be a list of whole numbers", keys.blocks));
      request.prefix_blocks.push_back(id.get<int64_t>());
    }
  }
  if (const auto session = line.find(keys.session); session != line.end() && !session->is_null())
    request.session = session->is_string() ? session->get<std::string>() : DumpJson(*session);
  return request;
}

Result<TraceFormat> RecogniseFormat(const std::string& first_line) {
  if (first_line.starts_with('{')) {
    ASSIGN_OR_RETURN(const Json line, ParseJson(first_line));
    if (line.contains("input_length")) return TraceFormat::kMooncake;
    if (line.contains("at_s")) return TraceFormat::kMoecap;
  }
  if (first_line.find("ContextTokens") != std::string::npos) return TraceFormat::kAzure;
  if (first_line.find("Request tokens") != std::string::npos) return TraceFormat::kBurstGpt;
  return BadInput(
      "this is no trace that is known: Mooncake (JSON lines with input_length), BurstGPT (CSV with \"Request tokens\"), "
      "Azure (CSV with ContextTokens), or moecap's own (JSON lines with at_s)");
}

void Add(TracedRequest request, RequestTrace& trace) {
  if (trace.format == TraceFormat::kBurstGpt && request.output_tokens == 0) {
    ++trace.failed;
    return;
  }
  trace.requests.push_back(std::move(request));
}

Status ReadCsvInto(std::string_view text, const std::function<void(int64_t line)>& at, RequestTrace& trace) {
  CsvReader csv(text);
  Cells cells;
  ASSIGN_OR_RETURN(bool more, csv.Next(cells));
  ASSIGN_OR_RETURN(const TraceColumns columns, TraceColumns::Of(trace.format, cells));
  for (;;) {
    ASSIGN_OR_RETURN(more, csv.Next(cells));
    if (!more) return {};
    at(csv.line_number());
    ASSIGN_OR_RETURN(TracedRequest request, columns.Parse(cells));
    Add(std::move(request), trace);
  }
}

Status ReadJsonInto(std::string_view text, const std::function<void(int64_t line)>& at, RequestTrace& trace) {
  const JsonKeys& keys = trace.format == TraceFormat::kMooncake ? kMooncakeKeys : kMoecapKeys;
  int64_t number = 0;
  while (!text.empty()) {
    const std::string_view line = Trimmed(TakeLine(text));
    at(++number);
    if (line.empty()) continue;
    ASSIGN_OR_RETURN(TracedRequest request, ParseJsonRequest(std::string(line), keys));
    Add(std::move(request), trace);
  }
  return {};
}

Status ReadInto(std::string_view text, const std::function<void(int64_t line)>& at, RequestTrace& trace) {
  text = WithoutBom(text);
  at(1);
  ASSIGN_OR_RETURN(trace.format, RecogniseFormat(std::string(Trimmed(text.substr(0, text.find('\n'))))));
  const bool is_csv = trace.format == TraceFormat::kBurstGpt || trace.format == TraceFormat::kAzure;
  return is_csv ? ReadCsvInto(text, at, trace) : ReadJsonInto(text, at, trace);
}

}  // namespace

std::string_view TraceFormatName(TraceFormat format) {
  switch (format) {
    case TraceFormat::kMooncake:
      return "Mooncake";
    case TraceFormat::kBurstGpt:
      return "BurstGPT";
    case TraceFormat::kAzure:
      return "Azure LLM inference";
    case TraceFormat::kMoecap:
      return "moecap";
  }
  return "";
}

Result<RequestTrace> ReadRequestTrace(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  RequestTrace trace;
  std::string where = path.string();
  if (text.empty()) return BadInput(fmt::format("{}: the trace is empty", where));
  const auto at = [&](int64_t line) { where = fmt::format("{}:{}", path.string(), line); };
  if (const Status read = ReadInto(text, at, trace); !read.ok()) return Annotate(where, read.error());
  if (trace.requests.empty()) return BadInput(fmt::format("{}: the trace has no request that succeeded", path.string()));
  std::ranges::stable_sort(trace.requests, {}, &TracedRequest::at_s);
  const double first_s = trace.requests.front().at_s;
  for (TracedRequest& request : trace.requests) request.at_s -= first_s;
  return trace;
}

}  // namespace moecap::workload
