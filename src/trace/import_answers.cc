// Routed experts as servers return them with their answers (routing/routed_answer.h): one row per token of a request.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "routing/npy.h"
#include "routing/routed_answer.h"
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
  routing::RoutedSurvey survey;
  LayerChoice choice;
  std::vector<Chunk> chunks;
  int64_t without = 0;     // answers without routes: aborted, preempted, or the server's capture is off
  int64_t other_rows = 0;  // answers whose rows are not their tokens
  bool raw = false;        // as SGLang sends them
};

Status Add(Plan& plan, RoutedExperts experts) {
  RETURN_IF_ERROR(plan.survey.Add(experts));
  plan.requests.push_back(std::move(experts));
  return {};
}

Status AddAnswer(Plan& plan, RoutedAnswer answer, const ImportOptions& options) {
  if (!answer.has_routes()) {
    ++plan.without;
    return {};
  }
  // Only where the encoding tells none: a server may count its MoE layers alone.
  routing::RoutedShape shape;
  if (!answer.routes.empty() && !routing::TellsShape(answer.routes)) {
    plan.raw = true;
    if (options.layers == 0 || options.top_k == 0)
      return BadInput("SGLang's answers do not tell their layers and experts per token; name the model with --model");
    shape = {.layers = options.layers, .top_k = options.top_k};
  }
  auto experts = routing::ExpertsOf(answer, shape);
  if (!experts.ok() && answer.prompt_tokens) {
    // A part of the prompt may have been asked for (routed_experts_start_len): the rows are then what was sent.
    answer.prompt_tokens.reset();
    if (auto rows_apart = routing::ExpertsOf(answer, shape); rows_apart.ok()) {
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

Status MakePass(const Plan& plan, const TraceHeader& header, size_t index, TracePass& pass) {
  const Chunk& chunk = plan.chunks[index];
  const RoutedExperts& experts = plan.requests[chunk.request];
  pass.number = static_cast<int64_t>(index);
  pass.kind.reset();
  pass.tokens = chunk.end - chunk.begin;
  pass.sequences.assign(static_cast<size_t>(pass.tokens), static_cast<uint32_t>(chunk.request));
  pass.ids.reserve(header.layers() * static_cast<size_t>(pass.tokens) * static_cast<size_t>(header.top_k));
  for (const int layer : plan.choice.rows) {
    for (int64_t token = chunk.begin; token < chunk.end; ++token) {
      const bool sound = experts.IsChoice(token, layer);
      for (const uint16_t id : experts.Ids(token, layer)) pass.ids.push_back(sound ? id : kNoExpert);
    }
  }
  return {};
}

void AddNotes(const Plan& plan, std::vector<std::string>& notes) {
  if (!plan.choice.note.empty()) notes.push_back(plan.choice.note);
  notes.push_back("rows are tokens of requests: which of them ran in one forward pass is not recorded");
  if (plan.survey.missing_rows() > 0) {
    notes.push_back(fmt::format("{} rows repeat an id or have none (cached or preempted tokens) and count as not recorded",
                                plan.survey.missing_rows()));
  }
  if (plan.without > 0) notes.push_back(fmt::format("{} answers carry no routes", plan.without));
  if (plan.other_rows > 0) {
    notes.push_back(fmt::format("{} answers have other rows than the tokens of prompt and output, less 1, as their usage tells",
                                plan.other_rows));
  }
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportAnswers(std::span<const std::byte> bytes, const ImportOptions& options) {
  auto plan = std::make_shared<Plan>();
  RETURN_IF_ERROR(ReadPlan(bytes, options, *plan));
  TraceHeader header;
  header.origin = plan->raw ? "sglang" : "vllm";
  header.model = options.model;
  header.passes_known = false;
  if (!plan->survey.any_used())
    return BadInput(
        "every row repeats one id: this engine's fused experts do not report routing; start it with --moe-backend triton");
  ASSIGN_OR_RETURN(plan->choice, ChooseLayers(plan->survey.used().size(), plan->survey.used(), options));
  header.top_k = plan->survey.top_k();
  if (options.top_k > 0 && options.top_k != header.top_k) {
    return BadInput(
        fmt::format("tokens have {} experts, {} has top-{}: another model?", header.top_k, options.model, options.top_k));
  }
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(plan->survey.highest_id() + 1, false, options, header.notes));
  header.layer_numbers = plan->choice.numbers;
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

}  // namespace moecap::trace
