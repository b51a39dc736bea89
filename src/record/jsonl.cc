#include "record/jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/fs.h"
#include "base/json.h"
#include "base/json_error.h"

namespace moecap::record {
namespace {

constexpr std::array kPassKinds{std::pair{PassKind::kPrefill, "prefill"}, std::pair{PassKind::kDecode, "decode"},
                                std::pair{PassKind::kMixed, "mixed"}};
constexpr std::array kSources{std::pair{Source::kMeasured, "measured"}, std::pair{Source::kServerReported, "server-reported"},
                              std::pair{Source::kEstimated, "estimated"}};
constexpr std::array kFinishReasons{std::pair{FinishReason::kStop, "stop"}, std::pair{FinishReason::kLength, "length"},
                                    std::pair{FinishReason::kError, "error"}, std::pair{FinishReason::kCancelled, "cancelled"}};
// A name is written as the first entry of its value; the later ones are read from files of older versions.
constexpr std::array kTokensSources{std::pair{TokensSource::kTokenIds, "token-ids"},
                                    std::pair{TokensSource::kContinuousUsage, "continuous-usage"},
                                    std::pair{TokensSource::kNativeCounter, "native-counter"},
                                    std::pair{TokensSource::kFinalUsage, "final-usage"},
                                    std::pair{TokensSource::kChunks, "chunks"},
                                    std::pair{TokensSource::kTokenIds, "measured"},
                                    std::pair{TokensSource::kFinalUsage, "server-reported"},
                                    std::pair{TokensSource::kChunks, "estimated"}};
constexpr std::array kTimingGaps{std::pair{TimingGap::kNone, "none"}, std::pair{TimingGap::kCameWhole, "came_whole"},
                                 std::pair{TimingGap::kStreamIgnored, "stream_ignored"},
                                 std::pair{TimingGap::kUnevenChunks, "uneven_chunks"},
                                 std::pair{TimingGap::kOneBurst, "one_burst"}};
constexpr std::array kRequestErrors{std::pair{RequestError::kNone, "none"},
                                    std::pair{RequestError::kDns, "dns"},
                                    std::pair{RequestError::kConnectRefused, "connect_refused"},
                                    std::pair{RequestError::kConnectFailed, "connect_failed"},
                                    std::pair{RequestError::kConnectTimeout, "connect_timeout"},
                                    std::pair{RequestError::kTls, "tls"},
                                    std::pair{RequestError::kSendFailed, "send_fail"},
                                    std::pair{RequestError::kHeaderTimeout, "header_timeout"},
                                    std::pair{RequestError::kFirstTokenTimeout, "ttft_timeout"},
                                    std::pair{RequestError::kIdleTimeout, "idle_timeout"},
                                    std::pair{RequestError::kTotalTimeout, "total_timeout"},
                                    std::pair{RequestError::kResetBeforeHeaders, "reset_before_headers"},
                                    std::pair{RequestError::kResetMidstream, "reset_midstream"},
                                    std::pair{RequestError::kHttpRedirect, "http_3xx"},
                                    std::pair{RequestError::kHttp4xx, "http_4xx"},
                                    std::pair{RequestError::kHttp429, "http_429"},
                                    std::pair{RequestError::kHttp5xx, "http_5xx"},
                                    std::pair{RequestError::kBadResponse, "bad_response"},
                                    std::pair{RequestError::kStreamErrorObject, "stream_error_object"},
                                    std::pair{RequestError::kAbortFinish, "abort_finish"},
                                    std::pair{RequestError::kParseError, "parse_error"},
                                    std::pair{RequestError::kTruncated, "truncated"},
                                    std::pair{RequestError::kZeroTokens, "zero_tokens"},
                                    std::pair{RequestError::kInputLengthMismatch, "length_mismatch_in"},
                                    std::pair{RequestError::kOutputLengthMismatch, "length_mismatch_out"},
                                    std::pair{RequestError::kCacheContaminated, "cache_contaminated"},
                                    std::pair{RequestError::kCancelledByClient, "cancelled_by_client"},
                                    std::pair{RequestError::kNotIssued, "not_issued_deadline"}};

template <typename Table, typename Enum>
std::string_view NameOf(const Table& table, Enum value) {
  for (const auto& [key, name] : table) {
    if (key == value) return name;
  }
  CHECK(false);
}

template <typename Table>
auto ValueOf(const Table& table, const std::string& name, const char* key) {
  for (const auto& [value, known] : table) {
    if (name == known) return value;
  }
  std::string choices;
  for (const auto& entry : table) choices += fmt::format("{}{}", choices.empty() ? "" : ", ", entry.second);
  throw std::invalid_argument(fmt::format("\"{}\" is \"{}\"; known: {}", key, name, choices));
}

// A whole number of type T, also when written as 4096.0.
template <typename T>
T Whole(const Json& value, const char* key) {
  if (value.is_number_unsigned() && std::in_range<T>(value.get<uint64_t>())) return static_cast<T>(value.get<uint64_t>());
  if (value.is_number_integer() && !value.is_number_unsigned() && std::in_range<T>(value.get<int64_t>()))
    return static_cast<T>(value.get<int64_t>());
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    const bool exact = std::abs(number) < 0x1p53 && number == std::trunc(number);
    if (exact && std::in_range<T>(static_cast<int64_t>(number))) return static_cast<T>(number);
  }
  throw std::invalid_argument(fmt::format("\"{}\" must be a whole number in range", key));
}

// The value of `key`, or `fallback` when it is absent.
template <typename T>
T WholeOr(const Json& object, const char* key, T fallback) {
  const auto found = object.find(key);
  return found == object.end() ? fallback : Whole<T>(*found, key);
}

std::vector<int32_t> WholeList(const Json& array, const char* key) {
  if (!array.is_array()) throw std::invalid_argument(fmt::format("\"{}\" must be a list", key));
  std::vector<int32_t> result;
  for (const Json& entry : array) result.push_back(Whole<int32_t>(entry, key));
  return result;
}

Json CellToJson(const CellId& cell) {
  return {{"system", cell.system}, {"concurrency", cell.concurrency}, {"repeat", cell.repeat}};
}

CellId CellFromJson(const Json& line) {
  const auto found = line.find("cell");
  if (found == line.end()) return {};
  return {found->value("system", ""), WholeOr(*found, "concurrency", 0), WholeOr(*found, "repeat", 0)};
}

Json SequencesToJson(const std::vector<SequenceSlice>& sequences) {
  Json result = Json::array();
  for (const SequenceSlice& slice : sequences) {
    Json entry = {{"context_tokens", slice.context_tokens}, {"new_tokens", slice.new_tokens}};
    if (slice.count != 1) entry["count"] = slice.count;
    result.push_back(std::move(entry));
  }
  return result;
}

constexpr int64_t kMostTokens = int64_t{1} << 40;  // of a context, and of a pass

std::vector<SequenceSlice> SequencesFromJson(const Json& array) {
  std::vector<SequenceSlice> result;
  int64_t total = 0;
  for (const Json& entry : array) {
    SequenceSlice slice{Whole<int64_t>(entry.at("context_tokens"), "context_tokens"),
                        Whole<int64_t>(entry.at("new_tokens"), "new_tokens"), WholeOr(entry, "count", int64_t{1})};
    if (slice.context_tokens < 0 || slice.new_tokens < 1 || slice.count < 1) {
      throw std::invalid_argument("\"sequences\" needs context_tokens >= 0, new_tokens >= 1 and count >= 1");
    }
    int64_t tokens = 0;
    if (__builtin_mul_overflow(slice.new_tokens, slice.count, &tokens) || tokens > kMostTokens - total ||
        slice.context_tokens > kMostTokens) {
      throw std::invalid_argument("\"sequences\" has more tokens than can be");
    }
    total += tokens;
    result.push_back(slice);
  }
  return result;
}

// A whole number is written without a fraction: distinct experts are counts unless they are an estimate.
Json Number(double value) {
  const bool whole = std::abs(value) < 0x1p53 && value == std::trunc(value);
  return whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

Json DistinctToJson(const std::vector<double>& distinct) {
  if (distinct.empty()) return nullptr;
  if (distinct.size() == 1) return Number(distinct.front());
  Json result = Json::array();
  for (const double value : distinct) result.push_back(Number(value));
  return result;
}

std::vector<double> DistinctFromJson(const Json& line) {
  const auto found = line.find("distinct_experts");
  if (found == line.end() || found->is_null()) return {};
  if (found->is_number()) return {found->get<double>()};
  return found->get<std::vector<double>>();
}

void CheckSchema(const Json& line) {
  const int schema = WholeOr(line, "schema", kSchemaVersion);
  if (schema > kSchemaVersion) {
    throw std::invalid_argument(
        fmt::format("schema {} is newer than this program's {}; use a newer moecap", schema, kSchemaVersion));
  }
}

void ReadOptional(const Json& line, const char* key, std::optional<double>& value) {
  const auto found = line.find(key);
  if (found != line.end() && !found->is_null()) value = found->get<double>();
}

void WriteOptional(Json& line, const char* key, const std::optional<double>& value) {
  if (value) line[key] = *value;
}

std::optional<ExpertReads> ReadsFromJson(const Json& line) {
  const auto found = line.find("expert_reads");
  if (found == line.end() || found->is_null()) return std::nullopt;
  ExpertReads reads;
  reads.hits = WholeOr(*found, "hits", int64_t{0});
  reads.foreseen = WholeOr(*found, "foreseen", int64_t{0});
  reads.misses = WholeOr(*found, "misses", int64_t{0});
  reads.disk_bytes = WholeOr(*found, "disk_bytes", int64_t{0});
  reads.stall_s = found->value("stall_s", 0.0);
  return reads;
}

Json ToJson(const ExpertReads& reads) {
  return {{"hits", reads.hits},
          {"foreseen", reads.foreseen},
          {"misses", reads.misses},
          {"disk_bytes", reads.disk_bytes},
          {"stall_s", reads.stall_s}};
}

PassRecord PassFromJson(const Json& line) {
  CheckSchema(line);
  PassRecord pass;
  pass.cell = CellFromJson(line);
  pass.pass = WholeOr(line, "pass", int64_t{0});
  pass.kind = ValueOf(kPassKinds, line.at("kind").get<std::string>(), "kind");
  pass.start_s = line.value("start_s", 0.0);
  pass.latency_s = line.at("latency_s").get<double>();
  ReadOptional(line, "clock_monotonic_s", pass.clock_monotonic_s);
  pass.sequences = SequencesFromJson(line.at("sequences"));
  pass.source = ValueOf(kSources, line.value("source", "measured"), "source");
  pass.distinct_experts = DistinctFromJson(line);
  pass.distinct_experts_source =
      ValueOf(kSources, line.value("distinct_experts_source", "measured"), "distinct_experts_source");
  if (line.contains("expert_counts")) {
    for (const Json& layer : line.at("expert_counts")) pass.expert_counts.push_back(WholeList(layer, "expert_counts"));
  }
  if (const auto found = line.find("accepted_drafts"); found != line.end()) {
    for (const Json& entry : *found) pass.accepted_drafts.push_back(Whole<int64_t>(entry, "accepted_drafts"));
    if (pass.accepted_drafts.size() != pass.sequences.size())
      throw std::invalid_argument("\"accepted_drafts\" must have one entry a sequence");
  }
  pass.expert_reads = ReadsFromJson(line);
  pass.rank = WholeOr(line, "rank", 0);
  pass.replica = WholeOr(line, "replica", 0);
  return pass;
}

RequestRecord RequestFromJson(const Json& line) {
  CheckSchema(line);
  RequestRecord request;
  request.cell = CellFromJson(line);
  line.at("id").get_to(request.id);
  request.client = WholeOr(line, "client", 0);
  line.at("send_s").get_to(request.send_s);
  request.intended_send_s = line.value("intended_send_s", request.send_s);
  ReadOptional(line, "connect_s", request.connect_s);
  ReadOptional(line, "sent_s", request.sent_s);
  ReadOptional(line, "headers_s", request.headers_s);
  ReadOptional(line, "first_byte_s", request.first_byte_s);
  ReadOptional(line, "first_event_s", request.first_event_s);
  ReadOptional(line, "end_s", request.end_s);
  line.at("token_s").get_to(request.token_s);
  if (line.contains("chunk_tokens")) request.chunk_tokens = WholeList(line.at("chunk_tokens"), "chunk_tokens");
  ReadOptional(line, "first_answer_s", request.first_answer_s);
  request.input_tokens = Whole<int64_t>(line.at("input_tokens"), "input_tokens");
  request.output_tokens = Whole<int64_t>(line.at("output_tokens"), "output_tokens");
  request.reasoning_tokens = WholeOr(line, "reasoning_tokens", int64_t{0});
  if (line.contains("cached_input_tokens"))
    request.cached_input_tokens = Whole<int64_t>(line["cached_input_tokens"], "cached_input_tokens");
  request.tokens_source = ValueOf(kTokensSources, line.value("tokens_source", "token-ids"), "tokens_source");
  request.timing_gap = ValueOf(kTimingGaps, line.value("timing_gap", "none"), "timing_gap");
  ReadOptional(line, "server_prefill_s", request.server_prefill_s);
  ReadOptional(line, "server_decode_s", request.server_decode_s);
  request.finish = ValueOf(kFinishReasons, line.at("finish").get<std::string>(), "finish");
  request.error = line.value("error", "");
  request.error_kind = ValueOf(kRequestErrors, line.value("error_kind", "none"), "error_kind");
  request.http_status = WholeOr(line, "http_status", 0);
  request.retries = WholeOr(line, "retries", 0);
  request.request_id = line.value("request_id", "");
  request.response_id = line.value("response_id", "");
  if (line.contains("quirks")) line.at("quirks").get_to(request.quirks);
  if (line.contains("token_ids")) request.token_ids = WholeList(line.at("token_ids"), "token_ids");
  request.text = line.value("text", "");
  if (line.contains("extracted") && !line["extracted"].is_null()) request.extracted = line["extracted"].get<std::string>();
  if (line.contains("score") && !line["score"].is_null()) request.score = line["score"].get<double>();
  return request;
}

// Runs `parse` on the JSON of one line; the library's exceptions stop here.
template <typename T>
Result<T> ParseLine(std::string_view text, T (*parse)(const Json&)) {
  ASSIGN_OR_RETURN(const Json line, ParseJson(text));
  try {
    return parse(line);
  } catch (const Json::exception& error) {
    return BadInput(ReasonOf(error));
  } catch (const std::invalid_argument& error) {
    return BadInput(error.what());
  }
}

template <typename T>
Result<std::vector<T>> ReadRecords(const std::filesystem::path& path, uint64_t first, uint64_t last,
                                   Result<T> (*parse)(std::string_view)) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  const std::string_view whole = content;
  const std::string_view text = whole.substr(std::min<uint64_t>(whole.size(), first), last - std::min(first, last));
  std::vector<T> records;
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.empty()) continue;
    auto record = parse(line);
    if (!record.ok()) return Annotate(fmt::format("{}:{}", path.string(), line_number), record.error());
    records.push_back(std::move(record).value());
  }
  return records;
}

}  // namespace

std::string_view Name(PassKind kind) { return NameOf(kPassKinds, kind); }
std::string_view Name(Source source) { return NameOf(kSources, source); }
std::string_view Name(FinishReason reason) { return NameOf(kFinishReasons, reason); }
std::string_view Name(TokensSource source) { return NameOf(kTokensSources, source); }
std::string_view Name(TimingGap gap) { return NameOf(kTimingGaps, gap); }
std::string_view Name(RequestError error) { return NameOf(kRequestErrors, error); }

std::string ToJsonLine(const PassRecord& pass, bool with_counts) {
  Json line = {{"schema", kSchemaVersion},
               {"cell", CellToJson(pass.cell)},
               {"pass", pass.pass},
               {"kind", Name(pass.kind)},
               {"start_s", pass.start_s},
               {"latency_s", pass.latency_s},
               {"sequences", SequencesToJson(pass.sequences)},
               {"distinct_experts", DistinctToJson(pass.distinct_experts)}};
  WriteOptional(line, "clock_monotonic_s", pass.clock_monotonic_s);
  if (pass.source != Source::kMeasured) line["source"] = Name(pass.source);
  if (pass.distinct_experts_source != Source::kMeasured) line["distinct_experts_source"] = Name(pass.distinct_experts_source);
  if (with_counts && !pass.expert_counts.empty()) line["expert_counts"] = pass.expert_counts;
  if (!pass.accepted_drafts.empty()) line["accepted_drafts"] = pass.accepted_drafts;
  if (pass.expert_reads) line["expert_reads"] = ToJson(*pass.expert_reads);
  if (pass.rank != 0) line["rank"] = pass.rank;
  if (pass.replica != 0) line["replica"] = pass.replica;
  return DumpJson(line);
}

std::string ToJsonLine(const RequestRecord& request) {
  Json line = {{"schema", kSchemaVersion},
               {"cell", CellToJson(request.cell)},
               {"id", request.id},
               {"client", request.client},
               {"intended_send_s", request.intended_send_s},
               {"send_s", request.send_s},
               {"token_s", request.token_s},
               {"input_tokens", request.input_tokens},
               {"output_tokens", request.output_tokens},
               {"tokens_source", Name(request.tokens_source)},
               {"finish", Name(request.finish)},
               {"token_ids", request.token_ids},
               {"text", request.text}};
  WriteOptional(line, "connect_s", request.connect_s);
  WriteOptional(line, "sent_s", request.sent_s);
  WriteOptional(line, "headers_s", request.headers_s);
  WriteOptional(line, "first_byte_s", request.first_byte_s);
  WriteOptional(line, "first_event_s", request.first_event_s);
  WriteOptional(line, "end_s", request.end_s);
  if (!request.chunk_tokens.empty()) line["chunk_tokens"] = request.chunk_tokens;
  WriteOptional(line, "first_answer_s", request.first_answer_s);
  if (request.reasoning_tokens != 0) line["reasoning_tokens"] = request.reasoning_tokens;
  if (request.cached_input_tokens) line["cached_input_tokens"] = *request.cached_input_tokens;
  WriteOptional(line, "server_prefill_s", request.server_prefill_s);
  WriteOptional(line, "server_decode_s", request.server_decode_s);
  if (!request.error.empty()) line["error"] = request.error;
  if (request.error_kind != RequestError::kNone) line["error_kind"] = Name(request.error_kind);
  if (request.http_status != 0) line["http_status"] = request.http_status;
  if (request.retries != 0) line["retries"] = request.retries;
  if (request.timing_gap != TimingGap::kNone) line["timing_gap"] = Name(request.timing_gap);
  if (!request.request_id.empty()) line["request_id"] = request.request_id;
  if (!request.response_id.empty()) line["response_id"] = request.response_id;
  if (!request.quirks.empty()) line["quirks"] = request.quirks;
  line["extracted"] = request.extracted ? Json(*request.extracted) : Json(nullptr);
  line["score"] = request.score ? Json(*request.score) : Json(nullptr);
  return DumpJson(line);
}

Result<PassRecord> ParsePassLine(std::string_view line) { return ParseLine(line, PassFromJson); }
Result<RequestRecord> ParseRequestLine(std::string_view line) { return ParseLine(line, RequestFromJson); }

Result<std::vector<PassRecord>> ReadPasses(const std::filesystem::path& path, uint64_t begin, uint64_t end) {
  return ReadRecords<PassRecord>(path, begin, end, ParsePassLine);
}

Result<std::vector<RequestRecord>> ReadRequests(const std::filesystem::path& path, uint64_t begin, uint64_t end) {
  return ReadRecords<RequestRecord>(path, begin, end, ParseRequestLine);
}

}  // namespace moecap::record
