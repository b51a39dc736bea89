// moecap watch: S-MBU of a server that runs.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "app/cli/catalogue_file.h"
#include "app/cli/cli.h"
#include "app/cli/interrupt.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/watch_view.h"
#include "app/expert_prober.h"
#include "app/live_server.h"
#include "app/metrics_page.h"
#include "base/fs.h"
#include "base/wall_clock.h"
#include "hardware/catalogue.h"
#include "live/probe_budget.h"
#include "metrics/estimate.h"
#include "system/openai/route_capture.h"

namespace moecap::app {
namespace {

struct WatchFlags {
  std::vector<std::string> urls;
  experiment::ServerConfig server;
  ModelFlags model;
  std::string device, sheet, prompts, listen, pass_metrics;
  std::optional<double> bandwidth, flops;
  int devices = 1;
  double interval_s = 1, for_s = 0, sample = 0, budget = 0.005;
  int64_t probe_tokens = 32;
  std::vector<int> gpus;
  bool no_energy = false, json = false;
};

constexpr int64_t kQuestionLimitNs = 120'000'000'000;

// The model of the flag; else that of the path or the name that the server tells, where either can be opened here.
void FindModel(const WatchFlags& flags, const ServerConnection& connection, live::WatcherOptions& options) {
  ModelFlags model = flags.model;
  for (const std::string& name : {connection.facts.model_path, connection.options.profile.model}) {
    model.name = name;
    auto spec = name.empty() ? Result<model::ModelSpec>(BadInput("")) : OpenModel(model);
    if (!spec.ok()) continue;
    options.model = std::move(spec).value();
    return;
  }
  options.model_missing =
      fmt::format("no model is known: \"{}\" is none of the catalogue; give --model ID, config.json, folder or .gguf",
                  connection.options.profile.model);
}

Result<live::WatcherOptions> OptionsOf(const WatchFlags& flags, const ServerConnection& connection) {
  live::WatcherOptions options;
  options.url = connection.url;
  options.server = connection.ServerName();
  options.model_name = connection.options.profile.model;
  if (flags.model.name.empty()) {
    FindModel(flags, connection, options);
  } else {
    ASSIGN_OR_RETURN(options.model, OpenModel(flags.model));
  }
  options.peaks.devices = flags.devices;
  if (!flags.device.empty()) {
    ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(""));
    ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(flags.device));
    options.peaks.bandwidth_bytes_per_s = device.bandwidth_bytes_per_s;
    const std::string type = options.model ? options.model->compute_type : "";
    options.peaks.flops_per_s = hardware::DensePeak(device, type.empty() ? "bf16" : type);
  }
  if (flags.bandwidth) options.peaks.bandwidth_bytes_per_s = flags.bandwidth;
  if (flags.flops) options.peaks.flops_per_s = flags.flops;
  if (flags.sheet.empty()) return options;
  if (!options.model) return BadInput(fmt::format("--sheet needs a model: {}", options.model_missing));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.sheet));
  ASSIGN_OR_RETURN(options.sheet, routing::ParseActivationSheet(text));
  RETURN_IF_ERROR(metrics::CheckSheet(*options.model, *options.sheet));
  return options;
}

// The counters of this machine, where it is the server's.
std::unique_ptr<experiment::EnergyMeter> MeterFor(const WatchFlags& flags, const ServerConnection& connection,
                                                  hardware::UsedDevices& used, std::string& missing) {
  if (flags.no_energy) {
    missing = "not asked for (--no-energy)";
    return nullptr;
  }
  if (flags.urls.size() > 1) {
    missing = "of several servers nobody can tell who used what; watch one alone";
    return nullptr;
  }
  if (!net::IsLoopback(connection.options.http.urls.front().host)) {
    missing = "the server's machine is not this one as far as its address tells; watch it from there";
    return nullptr;
  }
  auto meter = experiment::OpenEnergyMeter(missing);
  if (!meter) return nullptr;
  used.gpus = flags.gpus;
  meter->Begin();
  if (flags.gpus.empty()) {
    for (size_t gpu = 0; gpu < meter->SinceBegin().gpus_j.size(); ++gpu) used.gpus.push_back(static_cast<int>(gpu));
  }
  return meter;
}

Result<std::vector<std::string>> PromptsOf(const WatchFlags& flags) {
  if (flags.prompts.empty()) return ProbePrompts();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.prompts));
  std::vector<std::string> prompts;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) prompts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (prompts.empty()) return BadInput(fmt::format("{}: no prompts; write one a line", flags.prompts));
  return prompts;
}

// Telemetry of each pass: where the flag says, else where a server on this machine says itself; "" = none.
std::string PassAddress(const WatchFlags& flags, const ServerConnection& connection) {
  if (!flags.pass_metrics.empty()) return flags.pass_metrics == "none" ? "" : flags.pass_metrics;
  const bool is_one_engine = connection.facts.data_parallel.value_or(1) == 1;  // each rank publishes its own passes
  const bool is_here = net::IsLoopback(connection.options.http.urls.front().host);
  return is_here && is_one_engine ? connection.facts.pass_metrics_address : "";
}

// Null: no probes are sent.
Result<std::unique_ptr<ExpertProber>> ProberFor(const WatchFlags& flags, const ServerConnection& connection,
                                                const live::WatcherOptions& options, const Clock& clock) {
  if (flags.sample <= 0) return std::unique_ptr<ExpertProber>();
  if (!options.model || options.model->MoeLayers() == 0)
    return BadInput(fmt::format("--sample needs a model with experts{}{}", options.model ? "" : ": ", options.model_missing));
  ASSIGN_OR_RETURN(const openai::ExpertsOffer offer, openai::TellsExperts(connection.options, kQuestionLimitNs, clock));
  if (!offer.tells) return BadInput(fmt::format("--sample: {}", offer.why_not));
  ASSIGN_OR_RETURN(std::vector<std::string> prompts, PromptsOf(flags));
  const routing::RoutedShape shape{.layers = static_cast<int>(options.model->layers.size()),
                                   .top_k = options.model->TopK(),
                                   .experts = options.model->Experts(),
                                   .rows = 0};
  return std::make_unique<ExpertProber>(connection, std::move(prompts), flags.probe_tokens, shape, clock);
}

// One server that is watched.
struct Watched {
  LiveServer server;
  std::unique_ptr<live::Watcher> watcher;
  std::unique_ptr<ExpertProber> prober;  // null: none are sent
};

// Hands what the probes brought to the watcher, and sends another one when the budget allows it.
void Probe(const WatchFlags& flags, Watched& watched, live::Look& look, std::vector<std::string>& events) {
  if (!watched.prober) return;
  live::Watcher& watcher = *watched.watcher;
  ExpertProber::Progress progress = watched.prober->Take();
  look.probes = progress.probes;
  if (!progress.problem.empty()) events.push_back(fmt::format("a probe brought no experts: {}", progress.problem));
  for (const routing::RoutedExperts& answer : progress.answers) {
    if (const Status added = watcher.experts()->AddAnswer(answer); !added.ok()) events.push_back(added.error().message);
  }
  const live::ProbeBudget budget{flags.sample, flags.budget};
  const bool may =
      live::MayProbe(budget, progress.probes, watched.prober->tokens_of_next(), watcher.seen_requests(), watcher.seen_tokens());
  if (look.engine && may && !watcher.model_changed()) watched.prober->Send();
}

live::Reading ReadingOf(const WatchFlags& flags, Watched& watched) {
  live::Look look = watched.server.Look(static_cast<int64_t>(std::max(flags.interval_s, 1.0) * 1e9));
  std::vector<std::string> events;
  Probe(flags, watched, look, events);
  live::Reading reading = watched.watcher->Take(look);
  reading.events.insert(reading.events.end(), events.begin(), events.end());
  return reading;
}

// All at the same time: one that does not answer delays no look at another.
std::vector<live::Reading> LookOnce(const WatchFlags& flags, std::vector<Watched>& servers) {
  std::vector<live::Reading> readings(servers.size());
  std::vector<std::jthread> others;
  for (size_t i = 1; i < servers.size(); ++i) others.emplace_back([&, i] { readings[i] = ReadingOf(flags, servers[i]); });
  readings.front() = ReadingOf(flags, servers.front());
  others.clear();
  return readings;
}

Status RunWatch(const WatchFlags& flags, std::vector<Watched>& servers, MetricsPage* page, const Clock& clock) {
  const auto interval_ns = static_cast<int64_t>(flags.interval_s * 1e9);
  const int64_t begin_ns = clock.NowNs();
  const int64_t end_ns = flags.for_s > 0 ? begin_ns + static_cast<int64_t>(flags.for_s * 1e9) : INT64_MAX;
  WatchView view(flags.json);
  InstallInterruptHandler();
  int looks = 0;
  // On a fixed grid: a late look does not move those after it.
  for (int64_t next_ns = begin_ns; !InterruptRequested(); next_ns += interval_ns) {
    SleepUntil(clock, next_ns, InterruptRequested);
    if (InterruptRequested()) break;
    const std::vector<live::Reading> readings = LookOnce(flags, servers);
    if (page != nullptr) page->Set(live::PrometheusPage(readings));
    view.Show(readings);
    if (std::ferror(stdout) != 0) return {};  // the program says so
    // Two looks make the first figures, however long they take.
    if (++looks >= 2 && (clock.NowNs() >= end_ns || next_ns + interval_ns > end_ns)) break;
    while (next_ns + interval_ns < clock.NowNs()) next_ns += interval_ns;
  }
  std::vector<live::Reading> summaries;
  for (const Watched& watched : servers) summaries.push_back(watched.watcher->Summary());
  view.End(summaries);
  if (std::ranges::all_of(summaries, [](const live::Reading& summary) { return summary.duration_s == 0; }))
    return Failed(servers.size() > 1 ? "no server told anything in all that time" : "the server told nothing in all that time");
  return {};
}

Result<Watched> StartWatching(const WatchFlags& flags, const std::string& url, const Clock& clock) {
  experiment::ServerConfig config = flags.server;
  config.urls = {url};
  ASSIGN_OR_RETURN(ServerConnection connection, ConnectServer(config, clock));
  RETURN_IF_ERROR(InspectServer(connection, Inspection::kNeeded, clock));
  connection.options.profile.temperature.reset();  // probes are answered as others are
  ASSIGN_OR_RETURN(live::WatcherOptions options, OptionsOf(flags, connection));
  ASSIGN_OR_RETURN(auto prober, ProberFor(flags, connection, options, clock));
  hardware::UsedDevices used;
  std::string energy_missing;
  auto meter = MeterFor(flags, connection, used, energy_missing);
  ASSIGN_OR_RETURN(LiveServer server, LiveServer::Create(connection, std::move(meter), energy_missing, used, clock));
  const std::string address = PassAddress(flags, connection);
  if (const int64_t ranks = connection.facts.data_parallel.value_or(1); ranks > 1 && !address.empty())
    return BadInput(
        fmt::format("--pass-metrics: each of the {} data-parallel ranks of {} publishes its own passes, and one does not "
                    "tell of all; leave the flag out, the counters do",
                    ranks, connection.url));
  if (!address.empty()) RETURN_IF_ERROR(server.Subscribe(address));
  return Watched{std::move(server), std::make_unique<live::Watcher>(std::move(options)), std::move(prober)};
}

Status RunVerb(const WatchFlags& flags) {
  if (flags.urls.size() > 1 && !flags.pass_metrics.empty() && flags.pass_metrics != "none")
    return BadInput("--pass-metrics is the address of one server; watch that one alone, or let each server say its own");
  const SteadyClock clock;
  std::vector<Watched> servers;
  for (auto url = flags.urls.begin(); url != flags.urls.end(); ++url) {
    if (std::find(flags.urls.begin(), url, *url) != url) return BadInput(fmt::format("{} is named twice", *url));
  }
  for (const std::string& url : flags.urls) {
    ASSIGN_OR_RETURN(Watched watched, StartWatching(flags, url, clock));
    servers.push_back(std::move(watched));
  }
  std::unique_ptr<MetricsPage> page;
  if (!flags.listen.empty()) {
    ASSIGN_OR_RETURN(page, MetricsPage::Listen(flags.listen));
    fmt::print(stderr, "metrics: {}\n", page->url());
  }
  return RunWatch(flags, servers, page.get(), clock);
}

void AddServerFlags(CLI::App& app, WatchFlags& flags) {
  app.add_option("--kind", flags.server.kind, "what the server is (default: it is asked)");
  app.add_option("--served-model", flags.server.model, "as the server knows it (default: the only one it lists)");
  app.add_option("--api-key-env", flags.server.api_key_env, "environment variable that holds the server's key");
  app.add_option("--ca", flags.server.ca, "PEM file of trusted certificates");
  app.add_flag("--insecure", flags.server.insecure, "accept any certificate");
  app.add_option("--model", flags.model.name,
                 "what that model is: id of the catalogue, config.json, folder or .gguf (default: by the name or path that "
                 "the server tells)");
  app.add_option("--weights", flags.model.precision, "weights as served (default: as the model's file says)");
  app.add_option("--kv", flags.model.kv, "type of the KV cache");
  app.add_option("--device", flags.device, "device of the catalogue on which the server computes");
  app.add_option("--devices", flags.devices, "how many of them; their peaks add up")->check(CLI::PositiveNumber);
  app.add_option("--bandwidth-bytes-per-s", flags.bandwidth, "peak of one device, instead of the catalogue's")
      ->check(CLI::PositiveNumber);
  app.add_option("--flops-per-s", flags.flops, "dense peak of one device, instead of the catalogue's")
      ->check(CLI::PositiveNumber);
}

}  // namespace

Action AddWatch(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<WatchFlags>();
  app.add_option("url", flags->urls, "of a running server, or of several that work side by side")->required();
  AddServerFlags(app, *flags);
  app.add_option("--interval", flags->interval_s, "seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--for", flags->for_s, "end after so many seconds (default: with Ctrl-C)")->check(CLI::PositiveNumber);
  app.add_option("--sheet", flags->sheet, "activation sheet of the model (moecap trace --sheet), while no experts are sampled");
  app.add_option("--sample", flags->sample,
                 "send requests of our own for the experts in their answers: so many of the requests that the server finishes, "
                 "e.g. 0.01 (default: none)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--budget", flags->budget, "of all tokens that the server computes, those that these requests may take")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--probe-tokens", flags->probe_tokens, "of an answer to them")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--probe-prompts", flags->prompts, "their prompts, one a line (default: 16 of many kinds)");
  app.add_option(
      "--pass-metrics", flags->pass_metrics,
      "where the engine publishes its passes, ipc:///path.0 or tcp://address:port; none: do not read them (default: as "
      "SGLang on this machine says)");
  app.add_option("--listen", flags->listen, "serve the figures to Prometheus at [ADDRESS:]PORT, by itself on 127.0.0.1");
  app.add_option("--gpus", flags->gpus, "of this machine, those whose energy counts (default: all)")->delimiter(',');
  app.add_flag("--no-energy", flags->no_energy, "do not read this machine's energy counters");
  app.add_flag("--json", flags->json, "a line of JSON for each look (docs/formats/live.md)");
  app.footer(
      "Examples:\n  moecap watch http://127.0.0.1:8000 --model Qwen/Qwen3-30B-A3B --device h100-sxm\n"
      "  moecap watch http://127.0.0.1:8000 --device h100-sxm --sample 0.01 --for 60 --json\n"
      "  moecap watch http://10.0.0.1:8000 http://10.0.0.2:8000 --device h100-sxm");
  return [flags] { return RunVerb(*flags); };
}

}  // namespace moecap::app
