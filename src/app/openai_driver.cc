#include "app/openai_driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "app/server_connection.h"
#include "base/words.h"
#include "hardware/catalogue.h"
#include "load/load_loop.h"
#include "mock/server.h"
#include "model/open_model.h"
#include "system/openai/control.h"
#include "system/openai/pass_limit.h"
#include "system/openai/probe.h"
#include "system/openai/route_capture.h"

namespace moecap::app {
namespace {

using openai::Api;
using openai::OpenAiSystem;

constexpr int64_t kControlLimitNs = 60'000'000'000;
constexpr double kHeadRoomDurationS = 1;
constexpr size_t kHeadRoomRequests = 50'000;
constexpr int64_t kHeadRoomTokens = 128;
constexpr int kMostReadings = 20;
constexpr auto kBetweenReadings = std::chrono::milliseconds(25);

std::string InList(const std::vector<std::string>& names) {
  return names.empty() ? "no model" : fmt::format("{}", fmt::join(names, " and "));
}

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
metrics::PrefillBatching BatchingOf(openai::ServerKind kind) {
  const bool alone = kind == openai::ServerKind::kSglang || kind == openai::ServerKind::kTgi;
  return alone ? metrics::PrefillBatching::kAlone : metrics::PrefillBatching::kMixed;
}

// Words that make a server of that kind tell experts, by its documentation.
std::vector<std::string> CaptureFlagsOf(openai::ServerKind kind) {
  const bool has = kind == openai::ServerKind::kVllm || kind == openai::ServerKind::kSglang;
  return has ? std::vector<std::string>{"--enable-return-routed-experts"} : std::vector<std::string>();
}

// As configured, else those of the kind; none where the server is started with them anyway. A shell would take them for its
// own.
std::vector<std::string> CaptureFlagsOf(const experiment::LaunchConfig& launch, const std::vector<std::string>& words,
                                        openai::ServerKind kind) {
  const std::string program = std::filesystem::path(words.front()).filename().string();
  const bool is_shell = program == "sh" || program == "bash" || program == "dash" || program == "zsh";
  std::vector<std::string> flags = launch.capture_flags.value_or(is_shell ? std::vector<std::string>() : CaptureFlagsOf(kind));
  const bool has_all =
      std::ranges::all_of(flags, [&](const std::string& flag) { return std::ranges::find(words, flag) != words.end(); });
  return has_all ? std::vector<std::string>() : flags;
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

// A server that this program started, and the words with which it is started anew to be asked for experts; null and empty for
// any other.
struct Launched {
  std::unique_ptr<LaunchedServer> server;
  std::vector<std::string> capture_flags;
};

class Driver final : public experiment::SystemDriver {
 public:
  Driver(ServerConnection connection, std::unique_ptr<openai::ServerControl> control, std::vector<std::string> models,
         Launched launched, Passes passes, const Clock& clock, experiment::SystemDescription description)
      : connection_(std::move(connection)),
        control_(std::move(control)),
        models_(std::move(models)),
        launched_(std::move(launched)),
        passes_(std::move(passes)),
        clock_(clock),
        description_(std::move(description)) {}

  const experiment::SystemDescription& description() const override { return description_; }

  // A connection of its own for each thread, with its share of the connections opened ahead.
  Result<std::unique_ptr<experiment::SystemInstance>> Start(const experiment::StartOptions& start) override {
    auto instance = std::make_unique<Instance>();
    if (start.connections > 0) RETURN_IF_ERROR(MakeRun());
    for (int thread = 0; thread < start.threads; ++thread) {
      openai::OpenAiOptions options = connection_.options;
      options.http.kernel_timestamps = true;
      options.keep_text = start.keep_text;
      options.request_id_prefix = start.request_id_prefix;
      ASSIGN_OR_RETURN(auto system, OpenAiSystem::Create(std::move(options), clock_));
      const int connections = std::max(1, start.connections / start.threads);
      if (start.connections > 0)
        RETURN_IF_ERROR(system->WarmUp(static_cast<size_t>(connections), connection_.connect_limit_ns));
      instance->Add(std::move(system));
    }
    return std::unique_ptr<experiment::SystemInstance>(std::move(instance));
  }
  void Unload() override {
    if (launched_.server) launched_.server->Stop();
  }
  const experiment::LaunchFacts* launch() const override { return launched_.server ? &launched_.server->facts() : nullptr; }
  std::string WhyItEnded() override { return launched_.server ? launched_.server->WhyItEnded() : ""; }
  std::string CaptureFlags() const override { return ShellLine(launched_.capture_flags); }

  bool TakesTokenIds() const override { return profile().Fields().token_ids; }
  // A data set's texts need none, so it is looked for when somebody asks.
  std::optional<experiment::Vocabulary> KnownVocabulary() override {
    if (!connection_.vocabulary_was_sought) SeekVocabulary(connection_, *control_);
    return connection_.vocabulary;
  }
  std::optional<int64_t> ContextTokens(int64_t words) override {
    if (!connection_.context_tokens && openai::AsksForFields(profile().server)) {
      auto said = openai::AskForContext(connection_.options, words, kControlLimitNs, clock_);
      if (said.ok()) connection_.context_tokens = *said;
    }
    return connection_.context_tokens;
  }
  bool TakesMessages() const override { return openai::IsChat(profile().api); }
  bool CanIgnoreEndToken() const override { return profile().Fields().ignore_end; }
  bool CanTokenize() const override { return openai::CanTokenize(profile().server); }
  Result<int64_t> CountTokens(const std::string& text) override {
    // However it was started.
    if (launched_.server && !launched_.server->IsRunning()) RETURN_IF_ERROR(MakeRun());
    ASSIGN_OR_RETURN(const openai::TokenizedText tokens, control_->Tokenize(text));
    return tokens.count;
  }
  std::optional<Passes> PassesOf() const override { return passes_; }
  Result<Experts> AskForExperts(std::span<const load::RequestSpec> requests, int concurrency,
                                const std::function<bool()>& stop) override {
    RETURN_IF_ERROR(MakeTell());
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
  Status FlushPrefixCache() override {
    RETURN_IF_ERROR(MakeRun());
    return control_->FlushPrefixCache();
  }
  // Servers publish their counts a little after the answers that they count.
  std::optional<load::ServerCounters> CountersSoFar() override {
    auto last = control_->Counters();
    for (int i = 0; last && i < kMostReadings; ++i) {
      std::this_thread::sleep_for(kBetweenReadings);
      auto next = control_->Counters();
      if (!next || *next == *last) return next;
      last = next;
    }
    return last;
  }
  std::optional<uint64_t> LogSize() override {
    return launched_.server ? std::optional(launched_.server->LogSize()) : std::nullopt;
  }
  std::string LogSince(uint64_t size) override { return launched_.server ? launched_.server->LogSince(size) : ""; }
  std::string WhatChanged() override {
    if (launched_.server) {
      if (std::string end = launched_.server->HowItEnded(); !end.empty()) return end;
    }
    const auto models = control_->Models();
    if (!models.ok()) return fmt::format("it can no longer be reached ({})", models.error().message);
    if (*models == models_) return "";
    return fmt::format("it serves {} now, and served {} before", InList(*models), InList(models_));
  }

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
  // A launched server so that it tells experts. One that does not start with the flags is not tried again.
  Status MakeTell() {
    if (!launched_.server) return {};
    if (!why_it_does_not_tell_.empty()) return BadInput(why_it_does_not_tell_);
    const Status started = launched_.server->Run(launched_.capture_flags);
    if (started.ok() || started.error().kind == ErrorKind::kInterrupted) return started;
    const std::string& why = started.error().message;
    why_it_does_not_tell_ = fmt::format("the server does not start with {}: {}", CaptureFlags(), why.substr(0, why.find('\n')));
    return BadInput(why_it_does_not_tell_);
  }
  // A launched server as it is timed.
  Status MakeRun() { return launched_.server ? launched_.server->Run({}) : Status(); }

  ServerConnection connection_;
  std::unique_ptr<openai::ServerControl> control_;
  std::vector<std::string> models_;  // as they were listed at first
  Launched launched_;
  std::string why_it_does_not_tell_;
  Passes passes_;
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

// Of the device that the server computes on: 0 = a processor; null = not known.
Result<std::optional<double>> DeviceMemory(const experiment::SystemConfig& system) {
  if (system.machine.here || (system.launch && !system.launch->system.empty() && system.launch->gpus == 0))
    return std::optional(0.0);
  if (!system.machine.machine || system.machine.machine->accelerators.empty()) return std::optional<double>();
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  const auto device = catalogue.FindDevice(system.machine.machine->accelerators.front().id);
  return device.ok() ? device->memory_bytes : std::optional<double>();
}

// What the server runs, as the configuration says, or as it was started with.
Result<model::ModelSpec> ServedModel(const experiment::SystemConfig& system) {
  if (!system.served.empty()) {
    auto model = model::OpenModel(system.served);
    if (!model.ok()) return Annotate("the model that the server runs", model.error());
    return model;
  }
  const std::string launched = system.launch ? system.launch->model : "";
  auto model = launched.empty() ? Result<model::ModelSpec>(model::ModelSpec()) : model::OpenModel(launched);
  return model.ok() ? std::move(model) : model::ModelSpec();  // a name that only the server knows
}

std::string AbsoluteIfThere(const std::string& path) {
  std::error_code none;
  return !path.empty() && std::filesystem::exists(path, none) ? std::filesystem::absolute(path).string() : path;
}

Result<experiment::SystemDescription> DescribeSystem(const experiment::SystemConfig& system,
                                                     const ServerConnection& connection) {
  experiment::SystemDescription description;
  description.name = system.name;
  description.engine = connection.ServerName();
  description.in_process = false;
  description.on_this_machine =
      std::ranges::any_of(connection.options.http.urls, [](const net::Url& url) { return net::IsLoopback(url.host); });
  description.url = connection.url;
  description.pass_records = system.server->pass_records;
  description.api = openai::Name(connection.options.profile.api);
  ASSIGN_OR_RETURN(description.model, ServedModel(system));
  description.model.id = connection.options.profile.model;
  description.server_here = system.machine.here || (description.on_this_machine && system.machine.machine);
  description.devices.energy = DevicesOf(system.machine);
  description.capabilities = DescribeCapabilities(connection);
  for (const auto& [name, value] : openai::InWords(connection.facts)) description.facts[name] = value;
  description.description =
      fmt::format("{}, {} at {}, api {}", description.engine, description.model.id, connection.url, description.api);
  return description;
}

Result<std::unique_ptr<experiment::SystemDriver>> MakeDriver(const experiment::SystemConfig& system,
                                                             const experiment::Config& config, LaunchRoom& room,
                                                             const Clock& clock) {
  Launched launched;
  if (system.launch) {
    ASSIGN_OR_RETURN(launched.server, LaunchedServer::Create(system, config.base_dir, room, clock));
    RETURN_IF_ERROR(launched.server->Run({}));
  }
  ASSIGN_OR_RETURN(ServerConnection connection,
                   ConnectServer(launched.server ? launched.server->server() : *system.server, clock));
  connection.served = AbsoluteIfThere(!system.served.empty() || !system.launch ? system.served : system.launch->model);
  RETURN_IF_ERROR(InspectServer(connection, Inspection::kNeeded, clock));
  ASSIGN_OR_RETURN(auto control, openai::ServerControl::Create(connection.options, kControlLimitNs, clock));
  // It may be down when somebody asks.
  if (launched.server && !config.problems && !connection.vocabulary_was_sought) SeekVocabulary(connection, *control);
  ASSIGN_OR_RETURN(std::vector<std::string> models, control->Models());
  const openai::ServerKind kind = connection.options.profile.server;
  std::vector<std::string> words;
  if (launched.server) {
    words = launched.server->words();
    launched.capture_flags = CaptureFlagsOf(*system.launch, words, kind);
  }
  ASSIGN_OR_RETURN(experiment::SystemDescription description, DescribeSystem(system, connection));
  experiment::SystemDriver::Passes passes{{BatchingOf(kind), std::nullopt}, "", false};
  ASSIGN_OR_RETURN(const std::optional<double> memory_bytes, DeviceMemory(system));
  if (const auto limit = openai::FindPassLimit(kind, connection.facts, words, memory_bytes)) {
    passes.rule.most_tokens = limit->tokens;
    passes.limit_source = limit->source;
    passes.limit_is_assumed = limit->is_assumed;
  }
  return std::unique_ptr<experiment::SystemDriver>(new Driver(std::move(connection), std::move(control), std::move(models),
                                                              std::move(launched), std::move(passes), clock,
                                                              std::move(description)));
}

}  // namespace

experiment::DriverFactory OpenAiDriverFactory(LaunchRoom& room, const Clock& clock) {
  return [&room, &clock](const experiment::SystemConfig& system, const experiment::Config& config) {
    return MakeDriver(system, config, room, clock);
  };
}

}  // namespace moecap::app
