// Routed experts as vLLM returns them (vllm/entrypoints, --enable-return-routed-experts): one row per token of a request.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "trace/importers.h"
#include "trace/npy.h"

namespace moecap::trace {
namespace {

constexpr int64_t kTokensPerPass = 1024;  // longer requests are cut, so that no pass grows without bound
constexpr std::string_view kNpyInBase64 = "k05VTVBZ";

struct Routes {
  std::vector<NpyArray> requests;  // [token][layer][k]
  int64_t without = 0;             // answers without routes: aborted, preempted, or the server's capture is off
};

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Status AddArray(Routes& routes, NpyArray array) {
  if (array.shape.size() != 3 || array.shape[1] < 1 || array.shape[1] > kMostLayers || array.shape[2] < 1 ||
      array.shape[2] > kMostTopK) {
    return BadInput("routed experts must have the shape [tokens, layers, experts per token]");
  }
  if (!routes.requests.empty() &&
      (array.shape[1] != routes.requests[0].shape[1] || array.shape[2] != routes.requests[0].shape[2])) {
    return BadInput("the requests have different numbers of layers or experts per token");
  }
  routes.requests.push_back(std::move(array));
  return {};
}

Status AddBase64(Routes& routes, std::string_view text) {
  if (!text.starts_with(kNpyInBase64)) {
    return BadInput("routed experts that are not a .npy in base64 (an object-store key, or another server's raw array?)");
  }
  ASSIGN_OR_RETURN(const std::string bytes, DecodeBase64(text));
  ASSIGN_OR_RETURN(NpyArray array, ParseNpy(std::as_bytes(std::span(bytes))));
  return AddArray(routes, std::move(array));
}

// Nested lists [token][layer][k], as vLLM 0.21 wrote them, appended to `array`.
Status AddLists(const Json& tokens, NpyArray& array) {
  for (const Json& token : tokens) {
    if (!token.is_array() || token.empty() || !token[0].is_array())
      return BadInput("routed experts are not [token][layer][expert]");
    const auto layers = static_cast<int64_t>(token.size());
    const auto top_k = static_cast<int64_t>(token[0].size());
    if (array.shape.empty()) array.shape = {0, layers, top_k};
    if (array.shape[1] != layers) return BadInput("tokens have different numbers of layers");
    for (const Json& layer : token) {
      if (!layer.is_array() || static_cast<int64_t>(layer.size()) != array.shape[2])
        return BadInput("tokens have different numbers of experts");
      for (const Json& id : layer) {
        if (!id.is_number_integer()) return BadInput("an expert id is not a whole number");
        array.values.push_back(static_cast<int32_t>(std::clamp<int64_t>(id.get<int64_t>(), -2, kNoExpert)));
      }
    }
    ++array.shape[0];
  }
  return {};
}

// One object that may hold routes: a choice of a response, or a record of its own.
Status AddHolder(Routes& routes, const Json& holder, const Json& prompt) {
  const auto found = holder.find("routed_experts");
  if (found == holder.end() || found->is_null()) {
    ++routes.without;
    return {};
  }
  if (found->is_string()) return AddBase64(routes, found->get_ref<const std::string&>());
  if (!found->is_array()) return BadInput("\"routed_experts\" is neither text nor a list");
  NpyArray array;
  const auto own_prompt = holder.find("prompt_routed_experts");
  const Json& before = own_prompt != holder.end() && own_prompt->is_array() ? *own_prompt : prompt;
  if (before.is_array()) RETURN_IF_ERROR(AddLists(before, array));
  RETURN_IF_ERROR(AddLists(*found, array));
  if (array.shape.empty()) {
    ++routes.without;
    return {};
  }
  return AddArray(routes, std::move(array));
}

Status AddResponse(Routes& routes, const Json& response) {
  if (response.is_array()) {
    for (const Json& entry : response) {
      if (!entry.is_object()) return BadInput("a list of responses holds something that is no object");
      RETURN_IF_ERROR(AddResponse(routes, entry));
    }
    return {};
  }
  if (!response.is_object()) return BadInput("a response is not a JSON object");
  const auto prompt = response.find("prompt_routed_experts");
  const Json none;
  const Json& shared = prompt == response.end() ? none : *prompt;
  const auto choices = response.find("choices");
  if (choices == response.end() || !choices->is_array()) return AddHolder(routes, response, shared);
  for (const Json& choice : *choices) {
    if (!choice.is_object()) return BadInput("a choice is not a JSON object");
    RETURN_IF_ERROR(AddHolder(routes, choice, shared));
  }
  return {};
}

// One JSON text, or one a line.
Status AddJson(Routes& routes, std::string_view text) {
  if (const auto whole = ParseJson(text); whole.ok()) return AddResponse(routes, *whole);
  size_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto json = ParseJson(line);
    const Status added = json.ok() ? AddResponse(routes, *json) : Status(json.error());
    if (!added.ok()) return Annotate(fmt::format("line {}", line_number), added.error());
  }
  return {};
}

Status ReadRoutes(std::span<const std::byte> bytes, Routes& routes) {
  if (LooksLikeNpy(bytes)) {
    ASSIGN_OR_RETURN(NpyArray array, ParseNpy(bytes));
    return AddArray(routes, std::move(array));
  }
  std::string_view text = TextOf(bytes);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return BadInput("the file is empty");
  text.remove_prefix(first);
  return text.starts_with(kNpyInBase64) ? AddBase64(routes, text) : AddJson(routes, text);
}

// The ids of a row if they are a choice that a router can make: in range and all different.
bool RowIsSound(std::span<const int32_t> row) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] < 0 || row[i] >= kMostExperts || std::ranges::count(row.first(i), row[i]) > 0) return false;
  }
  return true;
}

struct Survey {
  std::vector<bool> used;  // per layer: at least one sound row that is not [0] alone
  int64_t highest = -1;
  int64_t unsound = 0;  // rows with repeated ids or -1
};

std::span<const int32_t> RowOf(const NpyArray& array, int64_t token, int64_t layer) {
  const int64_t k = array.shape[2];
  return std::span(array.values).subspan(static_cast<size_t>((token * array.shape[1] + layer) * k), static_cast<size_t>(k));
}

Survey SurveyRows(const Routes& routes) {
  Survey survey;
  survey.used.resize(static_cast<size_t>(routes.requests.front().shape[1]));
  std::vector<int64_t> unsound(survey.used.size());
  for (const NpyArray& array : routes.requests) {
    for (int64_t token = 0; token < array.shape[0]; ++token) {
      for (int64_t layer = 0; layer < array.shape[1]; ++layer) {
        const auto row = RowOf(array, token, layer);
        if (!RowIsSound(row)) {
          ++unsound[static_cast<size_t>(layer)];
          continue;
        }
        if (row.size() > 1 || row[0] > 0) survey.used[static_cast<size_t>(layer)] = true;
        survey.highest = std::max<int64_t>(survey.highest, *std::ranges::max_element(row));
      }
    }
  }
  for (size_t layer = 0; layer < unsound.size(); ++layer) survey.unsound += survey.used[layer] ? unsound[layer] : 0;
  return survey;
}

struct Chunk {
  size_t request = 0;
  int64_t begin = 0, end = 0;
};

struct Plan {
  Routes routes;
  LayerChoice choice;
  std::vector<Chunk> chunks;
};

Status MakePass(const Plan& plan, const TraceHeader& header, size_t index, TracePass& pass) {
  const Chunk& chunk = plan.chunks[index];
  const NpyArray& array = plan.routes.requests[chunk.request];
  pass.number = static_cast<int64_t>(index);
  pass.kind.reset();
  pass.tokens = chunk.end - chunk.begin;
  pass.sequences.assign(static_cast<size_t>(pass.tokens), static_cast<uint32_t>(chunk.request));
  pass.ids.reserve(header.layers() * static_cast<size_t>(pass.tokens) * static_cast<size_t>(header.top_k));
  for (const int layer : plan.choice.rows) {
    for (int64_t token = chunk.begin; token < chunk.end; ++token) {
      const auto row = RowOf(array, token, layer);
      const bool sound = RowIsSound(row);
      for (const int32_t id : row) pass.ids.push_back(sound ? static_cast<uint16_t>(id) : kNoExpert);
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TraceSource>> ImportVllm(std::span<const std::byte> bytes, const ImportOptions& options) {
  auto plan = std::make_shared<Plan>();
  RETURN_IF_ERROR(ReadRoutes(bytes, plan->routes));
  if (plan->routes.requests.empty()) {
    return BadInput("no answer carries routed experts; start the server with --enable-return-routed-experts");
  }
  TraceHeader header;
  header.origin = "vllm";
  header.model = options.model;
  header.passes_known = false;
  const Survey survey = SurveyRows(plan->routes);
  const bool any = std::ranges::count(survey.used, true) > 0;
  if (!any)
    return BadInput(
        "every row repeats one id: this engine's fused experts do not report routing; start it with --moe-backend triton");
  ASSIGN_OR_RETURN(plan->choice, ChooseLayers(survey.used.size(), survey.used, options));
  header.top_k = static_cast<int>(plan->routes.requests.front().shape[2]);
  if (options.top_k > 0 && options.top_k != header.top_k) {
    return BadInput(
        fmt::format("tokens have {} experts, {} has top-{}: another model?", header.top_k, options.model, options.top_k));
  }
  ASSIGN_OR_RETURN(header.experts, ChooseExperts(survey.highest + 1, false, options, header.notes));
  header.layer_numbers = plan->choice.numbers;
  if (!plan->choice.note.empty()) header.notes.push_back(plan->choice.note);
  header.notes.push_back("rows are tokens of requests: which of them ran in one forward pass is not recorded");
  if (survey.unsound > 0) {
    header.notes.push_back(fmt::format(
        "{} rows repeat an id or have none (cached or preempted tokens) and count as not recorded", survey.unsound));
  }
  if (plan->routes.without > 0) header.notes.push_back(fmt::format("{} answers carry no routes", plan->routes.without));
  RETURN_IF_ERROR(CheckHeader(header));
  for (size_t i = 0; i < plan->routes.requests.size(); ++i) {
    const int64_t tokens = plan->routes.requests[i].shape[0];
    for (int64_t begin = 0; begin < tokens; begin += kTokensPerPass)
      plan->chunks.push_back({i, begin, std::min(tokens, begin + kTokensPerPass)});
  }
  const size_t passes = plan->chunks.size();
  auto make = [plan, header](size_t index, TracePass& pass) { return MakePass(*plan, header, index, pass); };
  return std::unique_ptr<TraceSource>(new IndexedSource(header, passes, std::move(make)));
}

}  // namespace moecap::trace
