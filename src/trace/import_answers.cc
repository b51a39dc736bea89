// Routed experts as servers return them with their answers (routing/routed_answer.h): one row per token of a request.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "routing/npy.h"
#include "routing/routed_answer.h"
#include "trace/id_columns.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

using routing::RoutedAnswer;
using routing::RoutedExperts;

constexpr int64_t kTokensPerPass = 1024;  // longer requests are cut, so that no pass grows without bound

struct Chunk {
  size_t request = 0;
  int64_t begin = 0, end = 0;
};

struct Plan {
  std::vector<RoutedExperts> requests;
  std::optional<IdColumns> columns;
  std::vector<int64_t> highest;  // id of each layer; in a layer of choices of one column, 0 may be filler
  std::vector<bool> chosen;      // layers with a row that is not one value throughout
  int64_t most_id = INT64_MAX;
  int64_t missing_rows = 0;  // rows of used layers without a choice
  LayerChoice choice;
  std::vector<Chunk> chunks;
  int64_t without = 0;     // answers without routes: aborted, preempted, or the server's capture is off
  int64_t other_rows = 0;  // answers whose rows are not their tokens
  bool raw = false;        // as SGLang sends them
  std::vector<int64_t> row;

  const std::vector<int64_t>& Row(const RoutedExperts& experts, int64_t token, int layer) {
    row.clear();
    for (const uint16_t id : experts.Ids(token, layer)) row.push_back(id == kNoExpert ? -1 : id);
    return row;
  }
  std::vector<bool> Used() const {
    std::vector<bool> used = chosen;
    for (size_t layer = 0; layer < used.size() && columns->columns() == 1; ++layer) used[layer] = highest[layer] > 0;
    return used;
  }
};

Status Add(Plan& plan, RoutedExperts experts) {
  const auto layers = static_cast<size_t>(experts.layers);
  if (!plan.columns) {
    plan.columns.emplace(static_cast<size_t>(experts.top_k));
    plan.highest.assign(layers, -1);
    plan.chosen.assign(layers, false);
  } else if (layers != plan.highest.size() || static_cast<size_t>(experts.top_k) != plan.columns->columns()) {
    return BadInput(fmt::format("an answer has {} layers x {} experts per token, those before it {} x {}: another model?",
                                layers, experts.top_k, plan.highest.size(), plan.columns->columns()));
  }
  plan.most_id = std::min(plan.most_id, experts.most_id);
  for (int64_t token = 0; token < experts.rows; ++token) {
    for (int layer = 0; layer < experts.layers; ++layer) {
      const std::vector<int64_t>& row = plan.Row(experts, token, layer);
      const int64_t highest = *std::ranges::max_element(row);
      const auto at = static_cast<size_t>(layer);
      plan.highest[at] = std::max(plan.highest[at], highest);
      if (std::ranges::any_of(row, [&row](int64_t id) { return id != row.front(); })) plan.chosen[at] = true;
      plan.columns->Survey(row);
    }
  }
  plan.requests.push_back(std::move(experts));
  return {};
}

// Of an answer whose encoding tells no shape: that of the model, and with shared experts fused into the router's output.
std::vector<routing::RoutedShape> ShapesOf(const ImportOptions& options) {
  std::vector<routing::RoutedShape> shapes;
  for (int more = 0; more <= std::max(1, options.shared_experts); ++more)
    shapes.push_back({.layers = options.layers, .top_k = options.top_k + more});
  return shapes;
}

// The experts by the first shape that fits; the error is that of the first.
Result<RoutedExperts> FirstFit(const RoutedAnswer& answer, const std::vector<routing::RoutedShape>& shapes) {
  auto first = routing::ExpertsOf(answer, shapes.front());
  for (size_t i = 1; i < shapes.size() && !first.ok(); ++i) {
    if (auto other = routing::ExpertsOf(answer, shapes[i]); other.ok()) return other;
  }
  return first;
}

Status AddAnswer(Plan& plan, RoutedAnswer answer, const ImportOptions& options) {
  if (!answer.has_routes()) {
    ++plan.without;
    return {};
  }
  // Only where the encoding tells none: a server may count its MoE layers alone.
  std::vector<routing::RoutedShape> shapes = {{}};
  if (!answer.routes.empty() && !routing::TellsShape(answer.routes)) {
    plan.raw = true;
    if (options.layers == 0 || options.top_k == 0)
      return BadInput("SGLang's answers do not tell their layers and experts per token; name the model with --model");
    shapes = ShapesOf(options);
  }
  auto experts = FirstFit(answer, shapes);
  if (!experts.ok() && answer.prompt_tokens) {
    // A part of the prompt may have been asked for (routed_experts_start_len): the rows are then what was sent.
    answer.prompt_tokens.reset();
    if (auto rows_apart = FirstFit(answer, shapes); rows_apart.ok()) {
      ++plan.other_rows;
      experts = std::move(rows_apart);
    }
  }
  if (!experts.ok()) return experts.error();
  return Add(plan, *std::move(experts));
}

Status ReadPlan(std::span<const std::byte> bytes, const ImportOptions& options, Plan& plan) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return BadInput("the file is empty");
  const bool npy = routing::LooksLikeNpy(bytes);
  if (npy || text.substr(first).starts_with("k05VTVBZ")) {
    auto experts = npy ? routing::DecodeRoutedNpy(bytes) : routing::DecodeRoutedExperts(text);
    if (!experts.ok()) return experts.error();
    return Add(plan, *std::move(experts));
  }
  ASSIGN_OR_RETURN(std::vector<RoutedAnswer> answers, routing::ReadRoutedAnswers(text));
  for (RoutedAnswer& answer : answers) RETURN_IF_ERROR(AddAnswer(plan, std::move(answer), options));
  if (!plan.requests.empty()) return {};
  return BadInput(
      "no answer carries routed experts; start the server with --enable-return-routed-experts, and ask SGLang for them with "
      "\"return_routed_experts\": true in each request");
}

Status MakePass(Plan& plan, const TraceHeader& header, size_t index, TracePass& pass) {
  const Chunk& chunk = plan.chunks[index];
  const RoutedExperts& experts = plan.requests[chunk.request];
  const auto top_k = static_cast<size_t>(header.top_k);
  pass.number = static_cast<int64_t>(index);
  pass.kind.reset();
  pass.tokens = chunk.end - chunk.begin;
  pass.sequences.assign(static_cast<size_t>(pass.tokens), static_cast<uint32_t>(chunk.request));
  pass.ids.reserve(header.layers() * static_cast<size_t>(pass.tokens) * top_k);
  std::vector<uint16_t> ids;
  for (const int layer : plan.choice.rows) {
    for (int64_t token = chunk.begin; token < chunk.end; ++token) {
      if (!plan.columns->Clean(plan.Row(experts, token, layer), ids)) ids.assign(top_k, kNoExpert);
      pass.ids.insert(pass.ids.end(), ids.begin(), ids.end());
    }
  }
  return {};
}

// Cleans every row once, to know what there is to say.
Status Inspect(Plan& plan, std::vector<std::string>& notes) {
  std::vector<uint16_t> ids;
  for (const RoutedExperts& experts : plan.requests) {
    for (const int layer : plan.choice.rows) {
      for (int64_t token = 0; token < experts.rows; ++token)
        plan.missing_rows += plan.columns->Clean(plan.Row(experts, token, layer), ids) ? 0 : 1;
    }
  }
  return plan.columns->Check(notes);
}

void AddNotes(const Plan& plan, std::vector<std::string>& notes) {
  if (!plan.choice.note.empty()) notes.push_back(plan.choice.note);
  notes.push_back("rows are tokens of requests: which of them ran in one forward pass is not recorded");
  if (plan.missing_rows > 0) {
    notes.push_back(fmt::format("{} rows repeat an id or have none (cached or preempted tokens) and count as not recorded",
                                plan.missing_rows));
  }
  if (plan.without > 0) notes.push_back(fmt::format("{} answers carry no routes", plan.without));
  if (plan.other_rows > 0) {
    notes.push_back(fmt::format("{} answers have other rows than the tokens of prompt and output, less 1, as their usage tells",
                                plan.other_rows));
  }
}

Result<std::unique_ptr<TraceSource>> SourceOf(std::shared_ptr<Plan> plan, const ImportOptions& options) {
  TraceHeader header;
  header.origin = plan->raw ? "sglang" : "vllm";
  header.model = options.model;
  header.passes_known = false;
  const std::vector<bool> used = plan->Used();
  if (std::ranges::count(used, true) == 0)
    return BadInput(
        "every row repeats one id: this engine's fused experts do not report routing; start it with --moe-backend triton");
  ASSIGN_OR_RETURN(plan->choice, ChooseLayers(used.size(), used, options));
  RETURN_IF_ERROR(plan->columns->Choose({options.experts, options.zero_experts, options.top_k, plan->most_id}, header.notes));
  header.top_k = plan->columns->top_k();
  RETURN_IF_ERROR(Inspect(*plan, header.notes));
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(plan->columns->highest() + 1, false, options, header.notes));
  header.layer_numbers = plan->choice.numbers;
  header.share.whole = true;
  AddNotes(*plan, header.notes);
  RETURN_IF_ERROR(CheckHeader(header));
  for (size_t i = 0; i < plan->requests.size(); ++i) {
    const int64_t tokens = plan->requests[i].rows;
    for (int64_t begin = 0; begin < tokens; begin += kTokensPerPass)
      plan->chunks.push_back({i, begin, std::min(tokens, begin + kTokensPerPass)});
  }
  const size_t passes = plan->chunks.size();
  auto make = [plan, header](size_t index, TracePass& pass) { return MakePass(*plan, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportAnswers(std::span<const std::byte> bytes, const ImportOptions& options) {
  auto plan = std::make_shared<Plan>();
  RETURN_IF_ERROR(ReadPlan(bytes, options, *plan));
  return SourceOf(std::move(plan), options);
}

Result<std::unique_ptr<TraceSource>> ImportRoutes(std::vector<RoutedExperts> requests, const ImportOptions& options) {
  auto plan = std::make_shared<Plan>();
  for (RoutedExperts& experts : requests) RETURN_IF_ERROR(Add(*plan, std::move(experts)));
  return SourceOf(std::move(plan), options);
}

}  // namespace moecap::trace
