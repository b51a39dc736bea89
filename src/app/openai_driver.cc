#include "app/openai_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "app/server_connection.h"
#include "load/load_loop.h"
#include "mock/server.h"
#include "model/open_model.h"
#include "system/openai/control.h"
#include "system/openai/route_capture.h"

namespace moecap::app {
namespace {

using openai::Api;
using openai::OpenAiSystem;

constexpr int64_t kControlLimitNs = 60'000'000'000;
constexpr double kHeadRoomDurationS = 1;
constexpr size_t kHeadRoomRequests = 50'000;
constexpr int64_t kHeadRoomTokens = 128;

mock::Dialect DialectOf(Api api) {
  switch (api) {
    case Api::kCompletions:
    case Api::kChat:
    case Api::kResponses:
    case Api::kMessages:
      return mock::Dialect::kVllm;
    case Api::kSglangGenerate:
      return mock::Dialect::kSglang;
    case Api::kTgiGenerate:
      return mock::Dialect::kTgi;
    case Api::kOllamaGenerate:
    case Api::kOllamaChat:
      return mock::Dialect::kOllama;
    case Api::kLlamaServer:
      return mock::Dialect::kLlamaServer;
  }
  CHECK(false);
}

openai::ServerKind KindOf(mock::Dialect dialect) {
  switch (dialect) {
    case mock::Dialect::kVllm:
      return openai::ServerKind::kVllm;
    case mock::Dialect::kSglang:
      return openai::ServerKind::kSglang;
    case mock::Dialect::kTrtllm:
      return openai::ServerKind::kTensorRtLlm;
    case mock::Dialect::kLlamaServer:
      return openai::ServerKind::kLlamaServer;
    case mock::Dialect::kTgi:
      return openai::ServerKind::kTgi;
    case mock::Dialect::kOllama:
      return openai::ServerKind::kOllama;
  }
  CHECK(false);
}

// How each server forms its passes. SGLang and TGI give waiting prompts a pass of their own; the others let them join.
metrics::PassRule PassRuleOf(openai::ServerKind kind) {
  const bool alone = kind == openai::ServerKind::kSglang || kind == openai::ServerKind::kTgi;
  return {alone ? metrics::PrefillBatching::kAlone : metrics::PrefillBatching::kMixed, std::nullopt};
}

// Every thread drives its share of `streams` against the server at `url`.
Result<double> TokensPerSecond(const std::vector<std::unique_ptr<OpenAiSystem>>& systems, int streams, const Clock& clock) {
  load::RequestSpec spec;
  spec.prompt = "head-room";
  spec.max_output_tokens = kHeadRoomTokens;
  spec.ignore_end_token = true;
  const std::vector<load::RequestSpec> specs(kHeadRoomRequests, spec);
  load::SharedIndex next(specs.size());
  std::vector<load::ClosedLoopSource> sources;
  std::vector<load::LoadShard> shards;
  const int threads = static_cast<int>(systems.size());
  for (int i = 0; i < threads; ++i) {
    load::ClosedLoopSource::Options options;
    options.clients = streams / threads + (i < streams % threads ? 1 : 0);
    options.all_clients = streams;
    sources.emplace_back(options, specs, next);
  }
  for (size_t i = 0; i < systems.size(); ++i) shards.push_back({systems[i].get(), &sources[i], nullptr});
  load::LoadOptions options;
  options.duration_s = kHeadRoomDurationS;
  options.drain_s = kHeadRoomDurationS;
  ASSIGN_OR_RETURN(const load::LoadResult result, load::RunLoadOnThreads(shards, options, clock));
  int64_t tokens = 0;
  double end_s = 0;
  for (const record::RequestRecord& request : result.requests) {
    if (!request.ok() || request.token_s.empty()) continue;
    tokens += request.output_tokens;
    end_s = std::max(end_s, request.token_s.back());
  }
  if (tokens == 0) return Failed("no request to the null server ended well");
  return static_cast<double>(tokens) / end_s;
}

class Instance final : public experiment::SystemInstance {
 public:
  void Add(std::unique_ptr<OpenAiSystem> system) { systems_.push_back(std::move(system)); }
  std::vector<load::SystemUnderTest*> systems() override {
    std::vector<load::SystemUnderTest*> systems;
    for (const auto& system : systems_) systems.push_back(system.get());
    return systems;
  }

 private:
  std::vector<std::unique_ptr<OpenAiSystem>> systems_;
};

class Driver final : public experiment::SystemDriver {
 public:
  Driver(ServerConnection connection, std::unique_ptr<openai::ServerControl> control, const Clock& clock,
         experiment::SystemDescription description)
      : connection_(std::move(connection)), control_(std::move(control)), clock_(clock), description_(std::move(description)) {}

  const experiment::SystemDescription& description() const override { return description_; }

  // A connection of its own for each thread, with its share of the connections opened ahead.
  Result<std::unique_ptr<experiment::SystemInstance>> Start(const experiment::StartOptions& start) override {
    auto instance = std::make_unique<Instance>();
    for (int thread = 0; thread < start.threads; ++thread) {
      openai::OpenAiOptions options = connection_.options;
      options.http.kernel_timestamps = true;
      options.keep_text = start.keep_text;
      options.request_id_prefix = start.request_id_prefix;
      ASSIGN_OR_RETURN(auto system, OpenAiSystem::Create(std::move(options), clock_));
      const int connections = std::max(1, start.connections / start.threads);
      RETURN_IF_ERROR(system->WarmUp(static_cast<size_t>(connections), connection_.connect_limit_ns));
      instance->Add(std::move(system));
    }
    return std::unique_ptr<experiment::SystemInstance>(std::move(instance));
  }

  bool TakesTokenIds() const override { return profile().Fields().token_ids; }
  // A data set's texts need none, so it is looked for when somebody asks.
  std::optional<experiment::Vocabulary> KnownVocabulary() override {
    if (!connection_.vocabulary_was_sought) SeekVocabulary(connection_, *control_);
    return connection_.vocabulary;
  }
  std::optional<int64_t> ContextTokens() const override { return connection_.context_tokens; }
  bool TakesMessages() const override { return openai::IsChat(profile().api); }
  bool CanIgnoreEndToken() const override { return profile().Fields().ignore_end; }
  bool CanTokenize() const override { return openai::CanTokenize(profile().server); }
  Result<int64_t> CountTokens(const std::string& text) override {
    ASSIGN_OR_RETURN(const openai::TokenizedText tokens, control_->Tokenize(text));
    return tokens.count;
  }
  std::optional<metrics::PassRule> Passes() const override { return PassRuleOf(profile().server); }
  Result<Experts> AskForExperts(std::span<const load::RequestSpec> requests, int concurrency,
                                const std::function<bool()>& stop) override {
    ASSIGN_OR_RETURN(const openai::ExpertsOffer offer, openai::TellsExperts(connection_.options, kControlLimitNs, clock_));
    if (!offer.tells) return BadInput(offer.why_not);
    openai::CaptureOptions capture;
    capture.concurrency = std::max(1, concurrency);
    capture.shape = {static_cast<int>(description_.model.layers.size()), description_.model.TopK(),
                     description_.model.Experts(), 0};
    capture.stop = stop;
    ASSIGN_OR_RETURN(openai::CapturedRoutes routes, openai::CaptureRoutes(connection_.options, requests, capture, clock_));
    Experts experts;
    experts.findings = std::move(routes.findings);
    for (openai::CapturedAnswer& answer : routes.answers)
      experts.answers.push_back({std::move(answer.token_ids), std::move(answer.experts), std::move(answer.missing)});
    return experts;
  }
  Status FlushPrefixCache() override { return control_->FlushPrefixCache(); }
  std::optional<double> CachedTokensSoFar() override { return control_->CachedTokens(); }

  Result<double> MeasureHeadRoom(int streams, int threads) override {
    mock::ServerOptions server_options;
    server_options.dialect = DialectOf(profile().api);
    server_options.model_name = "null";
    server_options.model.vocab = 32000;
    server_options.model.max_context = 1 << 20;
    server_options.timed.max_running = INT64_MAX;
    server_options.null_server = true;
    ASSIGN_OR_RETURN(const auto server, mock::Server::Start(server_options));
    openai::OpenAiOptions options;
    options.profile.api = profile().api;
    // The null server has no routes of these; its chat stands for them.
    if (profile().api == Api::kResponses || profile().api == Api::kMessages) options.profile.api = Api::kChat;
    options.profile.server = KindOf(server_options.dialect);
    options.profile.model = server_options.model_name;
    options.keep_text = false;
    ASSIGN_OR_RETURN(options.http.urls.emplace_back(), net::ParseUrl(server->url()));
    std::vector<std::unique_ptr<OpenAiSystem>> systems;
    for (int i = 0; i < threads; ++i) {
      ASSIGN_OR_RETURN(systems.emplace_back(), OpenAiSystem::Create(options, clock_));
      RETURN_IF_ERROR(systems.back()->WarmUp(static_cast<size_t>(std::max(1, streams / threads)), kControlLimitNs));
    }
    return TokensPerSecond(systems, streams, clock_);
  }

 private:
  const openai::RequestProfile& profile() const { return connection_.options.profile; }

  ServerConnection connection_;
  std::unique_ptr<openai::ServerControl> control_;
  const Clock& clock_;
  experiment::SystemDescription description_;
};

// A server's own accelerators come first in the driver's order, as it is started without a choice.
hardware::UsedDevices DevicesOf(const experiment::MachineConfig& machine) {
  hardware::UsedDevices used;
  int64_t gpus = 0;
  if (machine.machine) {
    for (const cost::MachinePart& part : machine.machine->accelerators) gpus += part.count;
  }
  for (int gpu = 0; gpu < gpus; ++gpu) used.gpus.push_back(gpu);
  return used;
}

Result<std::unique_ptr<experiment::SystemDriver>> MakeDriver(const experiment::SystemConfig& system, const Clock& clock) {
  const experiment::ServerConfig& server = *system.server;
  ASSIGN_OR_RETURN(ServerConnection connection, ConnectServer(server, clock));
  RETURN_IF_ERROR(InspectServer(connection, Inspection::kNeeded, clock));
  ASSIGN_OR_RETURN(auto control, openai::ServerControl::Create(connection.options, kControlLimitNs, clock));
  experiment::SystemDescription description;
  description.name = system.name;
  description.engine = connection.ServerName();
  description.in_process = false;
  description.on_this_machine =
      std::ranges::any_of(connection.options.http.urls, [](const net::Url& url) { return net::IsLoopback(url.host); });
  description.url = connection.url;
  description.api = openai::Name(connection.options.profile.api);
  if (!system.served.empty()) {
    auto model = model::OpenModel(system.served);
    if (!model.ok()) return Annotate("the model that the server runs", model.error());
    description.model = std::move(model).value();
  }
  description.model.id = connection.options.profile.model;
  description.server_here = system.machine.here || (description.on_this_machine && system.machine.machine);
  description.devices.energy = DevicesOf(system.machine);
  description.capabilities = DescribeCapabilities(connection);
  for (const auto& [name, value] : openai::InWords(connection.facts)) description.facts[name] = value;
  description.description =
      fmt::format("{}, {} at {}, api {}", description.engine, description.model.id, connection.url, description.api);
  return std::unique_ptr<experiment::SystemDriver>(
      new Driver(std::move(connection), std::move(control), clock, std::move(description)));
}

}  // namespace

experiment::DriverFactory OpenAiDriverFactory(const Clock& clock) {
  return [&clock](const experiment::SystemConfig& system, const experiment::Config&) { return MakeDriver(system, clock); };
}

}  // namespace moecap::app
