// moecap load: how fast a server answers under a load, and whether the client can be believed.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/interrupt.h"
#include "app/cli/load_reports.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "app/load_target.h"
#include "base/clock.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "hardware/probe/probe.h"
#include "loadtest/load_test.h"
#include "loadtest/results.h"
#include "loadtest/summarize.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct Flags {
  std::string target;  // a configuration or a URL
  std::string resume, results_dir, api, kind, model, api_key_env, ca, salt, arrivals;
  bool insecure = false, json = false, text = false, flush = false;
  std::vector<int> clients;
  std::vector<double> rates;
  std::optional<int64_t> requests, input_tokens, output_tokens, warmup, seed;
  std::optional<int> threads, repeats;
  std::optional<double> timeout_s, first_token_timeout_s, idle_timeout_s;
  std::optional<double> duration_s, drain_s, ttft_s, tpot_s, e2e_s;
  bool search = false;
};

bool IsUrl(const std::string& text) { return text.find("://") != std::string::npos; }

// The flags as a configuration, so that both have one reader and one set of messages.
std::string ConfigOf(const Flags& flags) {
  Json config = {{"name", "load"}, {"server", {{"url", flags.target}}}, {"workload", Json::object()}, {"load", Json::object()}};
  const auto put = [](Json& json, const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  const auto put_text = [](Json& json, const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  Json& server = config["server"];
  put_text(server, "api", flags.api);
  put_text(server, "kind", flags.kind);
  put_text(server, "model", flags.model);
  put(server, "timeout_s", flags.timeout_s);
  put_text(server, "api_key_env", flags.api_key_env);
  if (!flags.ca.empty()) server["ca"] = fs::absolute(flags.ca).string();
  if (flags.insecure) server["insecure"] = true;
  Json& workload = config["workload"];
  put(workload, "requests", flags.requests);
  put(workload, "input_tokens", flags.input_tokens);
  put(workload, "output_tokens", flags.output_tokens);
  if (flags.text) workload["text"] = true;
  put_text(workload, "salt", flags.salt);
  put(workload, "seed", flags.seed);
  Json& load = config["load"];
  if (!flags.clients.empty()) load["clients"] = flags.clients;
  if (!flags.rates.empty()) load["rates_per_s"] = flags.rates;
  put_text(load, "arrivals", flags.arrivals);
  put(config, "warmup_requests", flags.warmup);
  put(config, "duration_s", flags.duration_s);
  put(config, "drain_s", flags.drain_s);
  Json deadlines = Json::object();
  put(deadlines, "first_token_s", flags.first_token_timeout_s);
  put(deadlines, "idle_s", flags.idle_timeout_s);
  if (!deadlines.empty()) config["deadlines"] = deadlines;
  put(config, "threads", flags.threads);
  put(config, "repeats", flags.repeats);
  put(config, "seed", flags.seed);
  if (flags.flush) config["flush_cache"] = true;
  Json objectives = Json::object();
  put(objectives, "ttft_s", flags.ttft_s);
  put(objectives, "tpot_s", flags.tpot_s);
  put(objectives, "e2e_s", flags.e2e_s);
  if (!objectives.empty()) config["objectives"] = objectives;
  if (flags.search) config["search"] = Json::object();
  return DumpJson(config);
}

Result<loadtest::LoadTestConfig> MakeConfig(const Flags& flags, const CLI::App& app) {
  if (flags.target.empty()) return BadInput("give a configuration or the URL of a server: moecap load http://127.0.0.1:8000");
  loadtest::LoadTestConfig config;
  if (IsUrl(flags.target)) {
    ASSIGN_OR_RETURN(config, loadtest::ParseLoadTestConfig(ConfigOf(flags), "the command line", fs::current_path()));
  } else {
    for (const CLI::Option* option : app.get_options()) {
      const std::string name = option->get_name();
      if (option->count() == 0 || name == "target" || name == "--json" || name == "--results-dir") continue;
      return BadInput(fmt::format("{} goes with a URL; in {} write it as a key (docs/load.md)", name, flags.target));
    }
    ASSIGN_OR_RETURN(config, loadtest::ReadLoadTestConfig(flags.target));
  }
  if (!flags.results_dir.empty()) config.results_dir = flags.results_dir;
  return config;
}

std::string DescribeClient(int threads) {
  const hardware::HostInfo host = hardware::DetectHost();
  return fmt::format("{}, {} usable CPU{}, {} thread{}", host.cpu_model.empty() ? "unknown processor" : host.cpu_model,
                     host.UsableThreads(), host.UsableThreads() == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
}

Result<loadtest::LoadResults> NewResults(const loadtest::LoadTestConfig& config, loadtest::Target& target,
                                         const Invocation& invocation) {
  loadtest::LoadManifest manifest;
  manifest.run_id = WallTimeCompact() + "-" + config.name;
  manifest.started_at = WallTimeIso8601();
  manifest.moecap_version = kVersion;
  manifest.command = invocation.command;
  manifest.config = config;
  manifest.target = target.description();
  manifest.client = DescribeClient(config.threads);
  RETURN_IF_ERROR(loadtest::Describe(manifest, target));
  return loadtest::LoadResults::Create(config.results_dir, std::move(manifest));
}

// Locked before it is read, so that no other process finishes it in between.
Result<loadtest::LoadResults> StoredResults(const Flags& flags, std::optional<FolderLock>& lock) {
  const fs::path results_dir = flags.results_dir.empty() ? kResultsDir : flags.results_dir;
  const fs::path dir = loadtest::LoadResults::IsLoadTest(flags.resume) ? fs::path(flags.resume) : results_dir / flags.resume;
  if (!loadtest::LoadResults::IsLoadTest(dir))
    return BadInput(fmt::format("{} is no load test: neither a folder with {} nor an id in {}", flags.resume,
                                loadtest::kManifestName, results_dir.string()));
  ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(dir));
  lock.emplace(std::move(acquired));
  ASSIGN_OR_RETURN(loadtest::LoadResults results, loadtest::LoadResults::Open(dir));
  if (results.manifest().complete)
    return BadInput(fmt::format("{} is complete; show it with: moecap report {}", flags.resume, dir.string()));
  RETURN_IF_ERROR(results.PrepareResume());
  return results;
}

Status Execute(loadtest::LoadResults& results, loadtest::Target& target, const Clock& clock) {
  const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  Progress progress(clock, stderr, is_terminal, "requests");
  loadtest::LoadTestHooks hooks;
  hooks.stop_requested = [] { return InterruptRequested(); };
  hooks.on_progress = [&](int64_t done, int64_t planned, const std::string& activity) {
    progress.Update(done, planned, activity);
  };
  std::vector<std::string> notes;
  hooks.on_note = [&](const std::string& note) { notes.push_back(note); };
  const Status status = loadtest::Execute(results, target, hooks, clock);
  for (const std::string& note : notes) fmt::print(stderr, "{}\n", note);
  return status;
}

// A load under which nothing was answered has no figures to be read.
Status AllAnswered(const metrics::LoadTestSummary& summary) {
  for (const metrics::LoadCell& cell : summary.cells) {
    if (cell.whole.completed > 0 || cell.whole.offered == 0) continue;
    const std::string why =
        cell.errors.empty() || cell.errors.front().messages.empty() ? "" : ": " + cell.errors.front().messages.front();
    return Failed(fmt::format("{}: none of {} requests was answered{}", cell.label, cell.whole.offered, why));
  }
  return {};
}

Status Load(const Flags& flags, const CLI::App& app, const Invocation& invocation) {
  InstallInterruptHandler();
  RaiseOpenFileLimit();
  const SteadyClock clock;
  std::optional<FolderLock> lock;
  std::optional<loadtest::LoadResults> results;
  loadtest::LoadTestConfig config;
  if (!flags.resume.empty()) {
    ASSIGN_OR_RETURN(results, StoredResults(flags, lock));
    config = results->manifest().config;
  } else {
    ASSIGN_OR_RETURN(config, MakeConfig(flags, app));
  }
  ASSIGN_OR_RETURN(const auto target, MakeLoadTarget(config.server, clock));
  if (!results) {
    ASSIGN_OR_RETURN(results, NewResults(config, *target, invocation));
    ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(results->dir()));
    lock.emplace(std::move(acquired));
  }
  const Status executed = Execute(*results, *target, clock);
  if (!executed.ok() && executed.error().kind != ErrorKind::kInterrupted) return executed;
  ASSIGN_OR_RETURN(const metrics::LoadTestSummary summary, loadtest::Summarize(*results));
  RETURN_IF_ERROR(WriteLoadReports(summary, results->dir()));
  PrintLoadSummary(summary, flags.json);
  fmt::print(stderr, "\nreport: {}\n", (results->dir() / "report.html").string());
  if (!executed.ok()) {
    return Error{ErrorKind::kInterrupted,
                 fmt::format("{}; finish it with: moecap load --resume {}", executed.error().message, results->dir().string())};
  }
  return AllAnswered(summary);
}

void AddLoadFlags(CLI::App& app, Flags& flags) {
  app.add_option(
      "--api", flags.api,
      "completions, chat, responses, messages, sglang, tgi, ollama, ollama-chat, llama-server (default: completions)");
  app.add_option("--kind", flags.kind, "what the server is, e.g. vLLM or unknown (default: it is asked)");
  app.add_option("--timeout", flags.timeout_s, "seconds for one request (default: 600)");
  app.add_option("--first-token-timeout", flags.first_token_timeout_s, "seconds to the first token (default: no limit)");
  app.add_option("--idle-timeout", flags.idle_timeout_s, "seconds between two tokens (default: no limit)");
  app.add_option("--model", flags.model, "as the server knows it (default: the only one it lists)");
  app.add_option("--api-key-env", flags.api_key_env, "environment variable that holds the server's key");
  app.add_option("--ca", flags.ca, "PEM file of trusted certificates");
  app.add_flag("--insecure", flags.insecure, "accept any certificate");
  app.add_option("--clients", flags.clients, "closed loop: requests in flight, e.g. 1,8,64 (default: 1)")->delimiter(',');
  app.add_option("--rate", flags.rates, "open loop: requests a second, e.g. 2,4,8")->delimiter(',')->excludes("--clients");
  app.add_option("--arrivals", flags.arrivals, "with --rate: poisson, constant (default: poisson)");
  app.add_option("--requests", flags.requests, "of each measurement (default: 1000, or what --rate sends in --duration)");
  app.add_option("--duration", flags.duration_s, "seconds after which nothing more is sent");
  app.add_option("--drain", flags.drain_s, "seconds for what is in flight then (default: until it has ended)");
  app.add_option("--input-tokens", flags.input_tokens, "of each prompt (default: 512)");
  app.add_option("--output-tokens", flags.output_tokens, "of each answer (default: 128)");
  app.add_flag("--text", flags.text, "prompts of words, for servers that take no token ids");
  app.add_option("--salt", flags.salt, "prefix-cache hygiene: unique, run, none (default: unique)");
  app.add_flag("--flush-cache", flags.flush, "empty the server's prefix cache before each measurement");
  app.add_option("--warmup", flags.warmup, "requests before each measurement, not recorded (default: 16)");
  app.add_option("--repeats", flags.repeats, "of each level");
  app.add_option("--threads", flags.threads, "event loops (default: 1)");
  app.add_option("--seed", flags.seed, "of prompts and arrivals (default: 1)");
  app.add_option("--ttft", flags.ttft_s, "objective: seconds to the first token");
  app.add_option("--tpot", flags.tpot_s, "objective: seconds per further token");
  app.add_option("--e2e", flags.e2e_s, "objective: seconds to the last token");
  app.add_flag("--search", flags.search, "find the highest load that meets the objectives for 99 % of the requests");
}

}  // namespace

Action AddLoad(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<Flags>();
  app.add_option("target", flags->target, "a YAML file (docs/load.md), or the URL of a server with the flags below");
  app.add_option("--resume", flags->resume, "finish an interrupted load test, by id or folder")->excludes("target");
  app.add_option("--results-dir", flags->results_dir, "where runs are stored (default: results)");
  app.add_flag("--json", flags->json, "print the summary as JSON");
  AddLoadFlags(app, *flags);
  app.footer(
      "Examples:\n"
      "  moecap load http://127.0.0.1:8000 --clients 1,8,64 --input-tokens 512 --output-tokens 128\n"
      "  moecap load http://127.0.0.1:8000 --rate 2,4,8 --duration 60 --ttft 1 --tpot 0.05\n"
      "  moecap load http://127.0.0.1:8000 --rate 1 --search --duration 60 --ttft 1 --tpot 0.05\n"
      "  moecap load examples/load/rates.yaml\n\n"
      "Shown again with: moecap report RUN [--compat vllm,sglang]");
  return [flags, &app, &invocation] { return Load(*flags, app, invocation); };
}

}  // namespace moecap::app
