#include "analysis/record_tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/imported.h"
#include "record/jsonl.h"

namespace moecap::analysis {
namespace {

using experiment::Measurement;
using record::PassRecord;
using record::RequestRecord;

// One fact of a record, of the measurement it belongs to.
template <typename Record>
struct FactColumn {
  const char* name;
  const char* type;
  Json (*value)(const Measurement& measurement, const Record& record);
};

Json Text(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

template <typename T>
Json List(const std::vector<T>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

// A request that came whole has an end, and no time of a token.
bool HasTokenTimes(const RequestRecord& request) { return !request.token_s.empty() && !request.came_whole(); }

template <typename Record>
std::vector<FactColumn<Record>> PlaceColumns() {
  return {
      {"system", "VARCHAR", [](const Measurement& m, const Record&) { return Json(m.system); }},
      {"level_kind", "VARCHAR", [](const Measurement& m, const Record&) { return Json(record::Name(m.level.kind)); }},
      {"level", "DOUBLE", [](const Measurement& m, const Record&) { return Json(m.level.value); }},
      {"repeat", "BIGINT", [](const Measurement& m, const Record&) { return Json(m.repeat); }},
      {"whole_measurement", "BOOLEAN", [](const Measurement& m, const Record&) { return Json(m.complete); }},
  };
}

// NAME, its type, what it is of the record `r`.
#define FACT(name, type, ...)                                                           \
  {                                                                                     \
    name, type, [](const Measurement&, const Record& r) -> Json { return __VA_ARGS__; } \
  }

std::vector<FactColumn<RequestRecord>> MakeRequestColumns() {
  using Record = RequestRecord;
  auto columns = PlaceColumns<Record>();
  const std::vector<FactColumn<Record>> own = {
      FACT("id", "VARCHAR", r.id),
      FACT("client", "BIGINT", r.client),
      FACT("intended_send_s", "DOUBLE", r.intended_send_s),
      FACT("send_s", "DOUBLE", r.send_s),
      FACT("connect_s", "DOUBLE", OrNull(r.connect_s)),
      FACT("sent_s", "DOUBLE", OrNull(r.sent_s)),
      FACT("headers_s", "DOUBLE", OrNull(r.headers_s)),
      FACT("first_byte_s", "DOUBLE", OrNull(r.first_byte_s)),
      FACT("first_event_s", "DOUBLE", OrNull(r.first_event_s)),
      FACT("first_token_s", "DOUBLE", HasTokenTimes(r) ? Json(r.token_s.front()) : Json(nullptr)),
      FACT("first_answer_s", "DOUBLE", OrNull(r.first_answer_s)),
      FACT("last_token_s", "DOUBLE", r.token_s.empty() ? Json(nullptr) : Json(r.token_s.back())),
      FACT("end_s", "DOUBLE", OrNull(r.end_s)),
      FACT("input_tokens", "BIGINT", r.input_tokens > 0 ? Json(r.input_tokens) : Json(nullptr)),  // 0: nobody told them
      FACT("output_tokens", "BIGINT", r.output_tokens),
      FACT("reasoning_tokens", "BIGINT", r.reasoning_tokens),
      FACT("cached_input_tokens", "BIGINT", OrNull(r.cached_input_tokens)),
      FACT("tokens_source", "VARCHAR", record::Name(r.tokens_source)),
      FACT("timing_gap", "VARCHAR", record::Name(r.timing_gap)),
      FACT("server_prefill_s", "DOUBLE", OrNull(r.server_prefill_s)),
      FACT("server_decode_s", "DOUBLE", OrNull(r.server_decode_s)),
      FACT("finish", "VARCHAR", record::Name(r.finish)),
      FACT("error_kind", "VARCHAR", record::Name(r.error_kind)),
      FACT("error", "VARCHAR", Text(r.error)),
      FACT("http_status", "BIGINT", r.http_status == 0 ? Json(nullptr) : Json(r.http_status)),
      FACT("retries", "BIGINT", r.retries),
      FACT("request_id", "VARCHAR", Text(r.request_id)),
      FACT("response_id", "VARCHAR", Text(r.response_id)),
      FACT("extracted", "VARCHAR", OrNull(r.extracted)),
      FACT("score", "DOUBLE", OrNull(r.score)),
      FACT("score_parts", "BIGINT", r.score_parts),
      FACT("part", "VARCHAR", Text(r.part)),
      FACT("text", "VARCHAR", Text(r.text)),
      FACT("token_ids", "BIGINT[]", List(r.token_ids)),
      FACT("token_s", "DOUBLE[]", List(r.token_s)),
      FACT("chunk_tokens", "BIGINT[]", List(r.chunk_tokens)),
      FACT("quirks", "VARCHAR[]", List(r.quirks)),
  };
  columns.insert(columns.end(), own.begin(), own.end());
  return columns;
}

Json SequencesOf(const PassRecord& pass) {
  Json list = Json::array();
  for (const record::SequenceSlice& slice : pass.sequences)
    list.push_back({{"context_tokens", slice.context_tokens}, {"new_tokens", slice.new_tokens}, {"count", slice.count}});
  return list;
}

int64_t ContextTokens(const PassRecord& pass) {
  int64_t tokens = 0;
  for (const record::SequenceSlice& slice : pass.sequences) tokens += slice.context_tokens * slice.count;
  return tokens;
}

std::vector<FactColumn<PassRecord>> MakePassColumns() {
  using Record = PassRecord;
  auto columns = PlaceColumns<Record>();
  const std::vector<FactColumn<Record>> own = {
      FACT("pass", "BIGINT", r.pass),
      FACT("kind", "VARCHAR", record::Name(r.kind)),
      FACT("start_s", "DOUBLE", r.start_s),
      FACT("latency_s", "DOUBLE", r.latency_s),
      FACT("clock_monotonic_s", "DOUBLE", OrNull(r.clock_monotonic_s)),
      FACT("source", "VARCHAR", record::Name(r.source)),
      FACT("sequences", "BIGINT", r.SequenceCount()),
      FACT("context_tokens", "BIGINT", ContextTokens(r)),
      FACT("new_tokens", "BIGINT", r.NewTokens()),
      FACT("slices", "STRUCT(context_tokens BIGINT, new_tokens BIGINT, \"count\" BIGINT)[]", SequencesOf(r)),
      FACT("distinct_experts", "DOUBLE[]", List(r.distinct_experts)),
      FACT("distinct_experts_source", "VARCHAR",
           r.distinct_experts.empty() ? Json(nullptr) : Json(record::Name(r.distinct_experts_source))),
      FACT("accepted_drafts", "BIGINT[]", List(r.accepted_drafts)),
      FACT("expert_hits", "BIGINT", r.expert_reads ? Json(r.expert_reads->hits) : Json(nullptr)),
      FACT("expert_misses", "BIGINT", r.expert_reads ? Json(r.expert_reads->misses) : Json(nullptr)),
      FACT("expert_disk_bytes", "BIGINT", r.expert_reads ? Json(r.expert_reads->disk_bytes) : Json(nullptr)),
      FACT("expert_stall_s", "DOUBLE", r.expert_reads ? Json(r.expert_reads->stall_s) : Json(nullptr)),
      FACT("rank", "BIGINT", r.rank),
      FACT("replica", "BIGINT", r.replica),
  };
  columns.insert(columns.end(), own.begin(), own.end());
  return columns;
}

#undef FACT

const std::vector<FactColumn<RequestRecord>>& RequestColumns() {
  static const auto kColumns = MakeRequestColumns();
  return kColumns;
}

const std::vector<FactColumn<PassRecord>>& PassColumns() {
  static const auto kColumns = MakePassColumns();
  return kColumns;
}

template <typename Record>
std::vector<TableColumn> Described(const std::vector<FactColumn<Record>>& columns) {
  std::vector<TableColumn> described;
  for (const auto& column : columns) described.push_back({column.name, column.type});
  return described;
}

template <typename Record>
Status VisitRecords(const Measurement& measurement, const std::vector<Record>& records,
                    const std::vector<FactColumn<Record>>& columns, const std::vector<bool>& wanted, const RowVisitor& visit) {
  std::vector<Json> row(columns.size());
  for (const Record& record : records) {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (wanted.empty() || wanted[i]) row[i] = columns[i].value(measurement, record);
    }
    RETURN_IF_ERROR(visit(row));
  }
  return {};
}

}  // namespace

std::string_view Name(FactTable table) { return table == FactTable::kRequests ? "requests" : "passes"; }

const std::vector<TableColumn>& ColumnsOf(FactTable table) {
  static const auto kRequests = Described(RequestColumns());
  static const auto kPasses = Described(PassColumns());
  return table == FactTable::kRequests ? kRequests : kPasses;
}

Status VisitFacts(const experiment::Results& results, FactTable table, const std::vector<bool>& wanted,
                  const RowVisitor& visit) {
  if (results.manifest().figures_only || IsImported(results.dir())) return {};
  for (const Measurement& measurement : results.manifest().measurements) {
    ASSIGN_OR_RETURN(const experiment::Facts facts, results.ReadFacts(measurement));
    RETURN_IF_ERROR(table == FactTable::kRequests
                        ? VisitRecords(measurement, facts.records.requests, RequestColumns(), wanted, visit)
                        : VisitRecords(measurement, facts.records.passes, PassColumns(), wanted, visit));
  }
  return {};
}

const std::vector<TableColumn>& CellColumns() {
  static const std::vector<TableColumn> kColumns = [] {
    std::vector<TableColumn> columns = {{"system", "VARCHAR"},     {"level_kind", "VARCHAR"}, {"level", "DOUBLE"},
                                        {"label", "VARCHAR"},      {"repeats", "BIGINT"},     {"valid", "BOOLEAN"},
                                        {"estimates", "VARCHAR[]"}};
    for (const cap::Figure& figure : cap::Figures()) columns.push_back({std::string(figure.key), "DOUBLE"});
    return columns;
  }();
  return kColumns;
}

Status VisitCells(const cap::ExperimentSummary& summary, const RowVisitor& visit) {
  for (const cap::SystemSummary& system : summary.systems) {
    for (const cap::CellSummary& cell : system.cells) {
      Json estimates = Json::array();
      for (const cap::Figure& figure : cap::Figures()) {
        if (cell.figures[figure.id] && cell.estimates.Has(figure.id)) estimates.push_back(figure.key);
      }
      std::vector<Json> row = {system.name,    record::Name(cell.level.kind), cell.level.value, cell.label, cell.repeats,
                               cell.IsValid(), std::move(estimates)};
      for (const cap::Figure& figure : cap::Figures()) row.push_back(OrNull(cell.figures[figure.id]));
      RETURN_IF_ERROR(visit(row));
    }
  }
  return {};
}

}  // namespace moecap::analysis
