// moecap load: a server under load, an experiment made of flags.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "app/cli/cli.h"
#include "app/cli/experiment_run.h"
#include "app/cli/output.h"
#include "base/paths.h"
#include "base/yaml.h"
#include "experiment/config.h"
#include "workload/dataset_catalogue.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct LoadFlags {
  std::string target;  // a configuration or a URL
  std::string launch;  // the command that starts the server; then a URL may be left out
  std::string sheet;   // an activation sheet
  std::string api, kind, model, serves, machine, api_key_env, ca, salt, arrivals, dataset, vocabulary, pass_records;
  bool insecure = false, text = false, flush = false, warmup_bursts = false, search = false, print_config = false;
  std::vector<int> clients;
  std::vector<double> rates;
  std::optional<int64_t> requests, input_tokens, output_tokens, warmup, seed;
  std::optional<int> threads, repeats;
  std::optional<double> duration_s, drain_s, ttft_s, tpot_s, e2e_s;
  std::optional<double> timeout_s, headers_s, first_token_s, idle_s;
  ExperimentFlags experiment;
};

bool IsUrl(const std::string& text) { return text.find("://") != std::string::npos; }

// "FROM-TO" as it is; of "N" the ids below it without the first ones, which are often control tokens; null for anything else.
std::optional<std::pair<int64_t, int64_t>> VocabularyOf(const std::string& text) {
  constexpr int64_t kControlShare = 8, kMostControls = 1000;
  const auto number = [](std::string_view digits) -> std::optional<int64_t> {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() && value >= 0 ? std::optional(value) : std::nullopt;
  };
  const size_t dash = text.find('-');
  if (dash == std::string::npos) {
    const auto size = number(text);
    return size ? std::optional(std::pair(std::min(*size / kControlShare, kMostControls), *size)) : std::nullopt;
  }
  const auto from = number(std::string_view(text).substr(0, dash)), to = number(std::string_view(text).substr(dash + 1));
  return from && to ? std::optional(std::pair(*from, *to)) : std::nullopt;
}

void Put(Json& json, const char* key, const auto& value) {
  if (value) json[key] = *value;
}

void PutText(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

Json ServerOf(const LoadFlags& flags) {
  Json server = Json::object();
  PutText(server, "url", flags.target);
  PutText(server, "api", flags.api);
  PutText(server, "kind", flags.kind);
  PutText(server, "model", flags.model);
  Put(server, "timeout_s", flags.timeout_s);
  PutText(server, "api_key_env", flags.api_key_env);
  if (!flags.pass_records.empty()) server["pass_records"] = Absolute(flags.pass_records).string();
  if (!flags.ca.empty()) server["ca"] = Absolute(flags.ca).string();
  if (flags.insecure) server["insecure"] = true;
  return server;
}

Json WorkloadOf(const LoadFlags& flags) {
  Json workload = Json::object();
  Put(workload, "requests", flags.requests);
  Put(workload, "input_tokens", flags.input_tokens);
  Put(workload, "output_tokens", flags.output_tokens);
  if (flags.text) workload["text"] = true;
  PutText(workload, "salt", flags.salt);
  if (const auto range = VocabularyOf(flags.vocabulary)) workload["vocabulary"] = {range->first, range->second};
  Put(workload, "seed", flags.seed);
  return workload;
}

// The flags as a configuration, so that both have one reader and one set of messages. A reference into an object of this
// ordered Json dies when a key is added to it, so parts are made before the whole.
std::string ConfigOf(const LoadFlags& flags) {
  Json load = Json::object();
  if (!flags.clients.empty()) load["clients"] = flags.clients;
  if (!flags.rates.empty()) load["rates_per_s"] = flags.rates;
  PutText(load, "arrivals", flags.arrivals);
  Json deadlines = Json::object();
  Put(deadlines, "headers_s", flags.headers_s);
  Put(deadlines, "first_token_s", flags.first_token_s);
  Put(deadlines, "idle_s", flags.idle_s);
  Json objectives = Json::object();
  Put(objectives, "ttft_s", flags.ttft_s);
  Put(objectives, "tpot_s", flags.tpot_s);
  Put(objectives, "e2e_s", flags.e2e_s);

  Json config = {{"name", "load"}};
  PutText(config, "launch", flags.launch);
  if (const Json server = ServerOf(flags); !server.empty()) config["server"] = server;
  std::error_code none;
  const bool is_file = fs::exists(flags.serves, none);
  PutText(config, "model", is_file ? Absolute(flags.serves).string() : flags.serves);
  if (!flags.sheet.empty()) config["activation_sheet"] = Absolute(flags.sheet).string();
  if (!flags.machine.empty()) config["cost"] = {{"machine", flags.machine}};
  if (flags.dataset.empty()) {
    config["workload"] = WorkloadOf(flags);
  } else {
    Json dataset = Json::object();
    const bool is_named = workload::IsDatasetName(flags.dataset);
    dataset[is_named ? "name" : "path"] = is_named ? flags.dataset : Absolute(flags.dataset).string();
    Put(dataset, "problems", flags.requests);
    config["dataset"] = dataset;
  }
  config["load"] = load;
  Put(config, "warmup_requests", flags.warmup);
  if (flags.warmup_bursts) config["warmup_bursts"] = true;
  Put(config, "duration_s", flags.duration_s);
  Put(config, "drain_s", flags.drain_s);
  Put(config, "client_threads", flags.threads);
  Put(config, "repeats", flags.repeats);
  Put(config, "seed", flags.seed);
  if (!deadlines.empty()) config["deadlines"] = deadlines;
  if (flags.flush) config["flush_cache"] = true;
  if (!objectives.empty()) config["objectives"] = objectives;
  if (flags.search) config["search"] = Json::object();
  return ToYaml(config);
}

// Flags that go with a configuration file, too.
bool IsGeneral(const std::string& name) {
  for (const char* general :
       {"target", "--json", "--results-dir", "--resume", "--all", "--include-invalid", "--print-config"}) {
    if (name == general) return true;
  }
  return std::ranges::count(ShardFlagNames(), name) > 0;
}

Result<experiment::Config> MakeConfig(const LoadFlags& flags, const CLI::App& app) {
  if (IsUrl(flags.target) || flags.target.empty())
    return experiment::ParseConfig(ConfigOf(flags), "the command line", Absolute("."));
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || IsGeneral(option->get_name())) continue;
    return BadInput(
        fmt::format("{} goes with a URL; in {} write it as a key (docs/config.md)", option->get_name(), flags.target));
  }
  return experiment::ReadConfig(flags.target);
}

Status Load(const LoadFlags& flags, const CLI::App& app, const Invocation& invocation) {
  std::optional<experiment::Config> config;
  if (!flags.target.empty() || !flags.launch.empty()) {
    ASSIGN_OR_RETURN(config, MakeConfig(flags, app));
  } else if (flags.experiment.resume.empty()) {
    return BadInput("give a configuration or the URL of a server: moecap load http://127.0.0.1:8000");
  }
  if (!flags.print_config) return RunExperiment(config, flags.experiment, "load", invocation);
  if (!config) return BadInput("--print-config shows what a URL and flags, or a file, amount to; give one");
  PrintText(config->text);
  return {};
}

void AddLoadFlags(CLI::App& app, LoadFlags& flags) {
  app.add_option(
      "--api", flags.api,
      "completions, chat, responses, messages, sglang, tgi, ollama, ollama-chat, llama-server (default: completions)");
  app.add_option("--kind", flags.kind, "what the server is, e.g. vLLM or unknown (default: it is asked)");
  app.add_option(
      "--launch", flags.launch,
      "the command that starts the server, which is ended with the measurement; {port} in it is a free one, and the URL "
      "may then be left out");
  app.add_option("--timeout", flags.timeout_s, "seconds for one request (default: 600)");
  app.add_option("--first-token-timeout", flags.first_token_s, "seconds to the first token (default: no limit)");
  app.add_option("--idle-timeout", flags.idle_s, "seconds between two tokens (default: no limit)");
  app.add_option("--model", flags.model, "as the server knows it (default: the only one it lists)");
  app.add_option(
      "--serves", flags.serves,
      "what that model is: config.json, folder, .gguf or id of the catalogue; gives bytes, FLOPs and, where the server "
      "tells its experts, S-MBU");
  app.add_option("--sheet", flags.sheet,
                 "activation sheet of that model (moecap trace --sheet), for experts that the server does not tell");
  app.add_option("--machine", flags.machine, "the server's: h100-sxm, 8 x h100-sxm, a machine file, or here");
  app.add_option("--pass-records", flags.pass_records,
                 "passes.jsonl that the server on this machine writes itself (default: reconstructed from the clients' clock)");
  app.add_option("--api-key-env", flags.api_key_env, "environment variable that holds the server's key");
  app.add_option("--ca", flags.ca, "PEM file of trusted certificates");
  app.add_flag("--insecure", flags.insecure, "accept any certificate");
  app.add_option("--clients", flags.clients, "closed loop: requests in flight, e.g. 1,8,64 (default: 1)")->delimiter(',');
  app.add_option("--rate", flags.rates, "open loop: requests a second, e.g. 2,4,8")->delimiter(',')->excludes("--clients");
  app.add_option("--arrivals", flags.arrivals, "with --rate: poisson, constant (default: poisson)");
  app.add_option("--dataset", flags.dataset,
                 "a data set that `moecap datasets` lists, or JSON lines with question and answer: answers are scored");
  app.add_option("--requests", flags.requests, "of each measurement (default: 1000, or what --rate sends in --duration)");
  app.add_option("--duration", flags.duration_s, "seconds after which nothing more is sent");
  app.add_option("--drain", flags.drain_s, "seconds for what is in flight then (default: until it has ended)");
  app.add_option("--input-tokens", flags.input_tokens, "of each prompt (default: 512)");
  app.add_option("--output-tokens", flags.output_tokens, "of each answer (default: 128)");
  app.add_option("--vocabulary", flags.vocabulary,
                 "ids of prompts: below N, or FROM-TO (default: as the server or its model tells; else words)")
      ->check([](const std::string& text) {
        return VocabularyOf(text) ? "" : "\"" + text + "\" is neither a number of ids nor FROM-TO, e.g. 32000 or 1000-30000";
      });
  app.add_flag("--text", flags.text, "prompts of words, for servers that take no token ids");
  app.add_option("--salt", flags.salt, "prefix-cache hygiene: unique, run, none (default: unique)");
  app.add_flag("--flush-cache", flags.flush, "empty the server's prefix cache before each measurement");
  app.add_option("--warmup", flags.warmup,
                 "requests before each measurement, not recorded (default: waves of 16 or more until two agree)");
  app.add_flag("--warmup-bursts", flags.warmup_bursts, "before them 1, 2, ... prompts at once, up to the clients");
  app.add_option("--repeats", flags.repeats, "of each level");
  app.add_option("--threads", flags.threads, "event loops (default: 1)");
  app.add_option("--seed", flags.seed, "of prompts and arrivals (default: 1)");
  app.add_option("--headers-timeout", flags.headers_s, "seconds to the response's headers (default: no limit)");
  app.add_option("--ttft", flags.ttft_s, "objective: seconds to the first token");
  app.add_option("--tpot", flags.tpot_s, "objective: seconds per further token");
  app.add_option("--e2e", flags.e2e_s, "objective: seconds to the last token");
  app.add_flag("--search", flags.search, "find the highest load that meets the objectives for 99 % of the requests");
}

}  // namespace

Action AddLoad(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<LoadFlags>();
  app.add_option("target", flags->target, "the URL of a server with the flags below, or a YAML file (docs/config.md)");
  app.add_flag("--print-config", flags->print_config, "print the configuration that the flags amount to, and do nothing else");
  AddExperimentFlags(app, flags->experiment);
  AddLoadFlags(app, *flags);
  app.footer(
      "Examples:\n"
      "  moecap load http://127.0.0.1:8000 --clients 1,8,64 --input-tokens 512 --output-tokens 128\n"
      "  moecap load http://127.0.0.1:8000 --rate 2,4,8 --duration 60 --ttft 1 --tpot 0.05\n"
      "  moecap load http://127.0.0.1:8000 --rate 1 --search --duration 60 --ttft 1 --tpot 0.05\n"
      "  moecap load --launch 'vllm serve MODEL --port {port}' --clients 1,8\n"
      "  moecap load examples/load/rates.yaml\n\n"
      "Shown again with: moecap report RUN [--compat vllm,sglang]");
  return [flags, &app, &invocation] { return Load(*flags, app, invocation); };
}

}  // namespace moecap::app
