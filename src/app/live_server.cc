#include "app/live_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "system/openai/capability.h"
#include "system/openai/engine_page.h"

namespace moecap::app {
namespace {

constexpr int kLooksPerQuestion = 30;  // so often it is asked who it is
constexpr size_t kMostPage = size_t{8} << 20;
constexpr int64_t kPublisherLimitNs = 5'000'000'000;

}  // namespace

Result<LiveServer> LiveServer::Create(const ServerConnection& connection, std::unique_ptr<experiment::EnergyMeter> energy,
                                      std::string energy_missing, const hardware::UsedDevices& used, const Clock& clock) {
  net::HttpClientOptions http = connection.options.http;
  http.urls.resize(1);
  if (!connection.options.api_key.empty()) {
    http.headers.push_back(
        openai::KeyHeader(connection.options.profile.api, connection.options.api_key_header, connection.options.api_key));
  }
  ASSIGN_OR_RETURN(auto client, net::HttpClient::Create(std::move(http), clock));
  LiveServer server(connection, std::move(client), clock);
  server.energy_ = std::move(energy);
  server.energy_missing_ = std::move(energy_missing);
  server.used_ = used;
  if (server.energy_) server.energy_->Begin();
  return server;
}

live::Look LiveServer::Look(int64_t limit_ns) {
  live::Look look;
  LookAtEngine(limit_ns, look);
  look.time_s = clock_->NowS();
  ReadPasses(look);
  ReadEnergy(look);
  if (look.engine && (was_away_ || ++looks_ % kLooksPerQuestion == 0)) AskWhoItIs(limit_ns, look);
  was_away_ = !look.engine.has_value();
  return look;
}

void LiveServer::LookAtEngine(int64_t limit_ns, live::Look& look) {
  const openai::ServerKind kind = connection_.identity.kind;
  const auto page = client_->Fetch({.method = "GET", .path = "/metrics"}, limit_ns, kMostPage);
  if (!page.ok()) {
    look.why_none = fmt::format("{} does not answer: {}", connection_.url, page.error().message);
    return;
  }
  const std::string_view remedy = openai::Remedy(kind, openai::Feature::kMetrics);
  const std::string what_to_do = remedy.empty() ? "" : fmt::format("; {}", remedy);
  if (page->status != 200) {
    look.why_none = fmt::format("{}/metrics answers {}{}", connection_.url, page->status, what_to_do);
    return;
  }
  const load::EngineSnapshot engine = openai::EngineOnPage(kind, page->body);
  if (!engine.counters.generated_tokens && !engine.running) {
    look.why_none = fmt::format("{}/metrics holds no figure that is known of a server of kind {}{}", connection_.url,
                                openai::Name(kind), what_to_do);
    return;
  }
  look.engine = engine;
}

void LiveServer::AskWhoItIs(int64_t limit_ns, live::Look& look) {
  const openai::Question question{.version = connection_.options.profile.version, .is_known = true};
  const auto identity = openai::IdentifyServer(*client_, connection_.url, limit_ns, question);
  if (!identity.ok()) return;  // the next look says so
  if (identity->kind != connection_.found_kind) {
    look.engine.reset();
    look.why_none = fmt::format("{} is another server now: {} instead of {}; watch it anew", connection_.url,
                                openai::Name(identity->kind), openai::Name(connection_.found_kind));
    return;
  }
  const std::string& name = connection_.options.profile.model;
  const bool is_there = identity->models.empty() || std::ranges::find(identity->models, name) != identity->models.end();
  look.model_name = is_there ? name : identity->models.front();
}

Status LiveServer::Subscribe(const std::string& address) {
  ASSIGN_OR_RETURN(passes_, net::ZmtpSubscriber::Connect(address));
  RETURN_IF_ERROR(passes_->Await(kPublisherLimitNs));
  pass_address_ = address;
  return {};
}

void LiveServer::ReadPasses(live::Look& look) {
  if (pass_address_.empty()) return;
  std::vector<net::ZmtpMessage> messages;
  const bool goes_on = passes_ && passes_->Take(messages).ok();
  for (const net::ZmtpMessage& message : messages) look.passes_lost |= !telemetry_.Add(message).ok();
  live::PassTelemetry::Taken taken = telemetry_.Take();
  look.passes_lost |= taken.lost || !goes_on;
  if (was_subscribed_) look.passes = std::move(taken.passes);
  was_subscribed_ = goes_on && passes_->subscribed();
  if (goes_on) return;
  // A server that was started anew publishes anew.
  passes_.reset();
  telemetry_ = live::PassTelemetry();
  if (auto again = net::ZmtpSubscriber::Connect(pass_address_); again.ok()) passes_ = std::move(again).value();
}

void LiveServer::ReadEnergy(live::Look& look) {
  look.energy_missing = energy_missing_;
  if (!energy_) return;
  const hardware::CountedEnergy counted = hardware::EnergyOf(energy_->SinceBegin(), used_);
  look.energy_j = counted.joules;
  if (!counted.joules) look.energy_missing = "the devices that are used have no energy counter";
}

}  // namespace moecap::app
