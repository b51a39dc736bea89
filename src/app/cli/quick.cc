// moecap quick: one verdict in about a minute, and no file.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "app/cli/cli.h"
#include "app/cli/experiment_run.h"
#include "app/cli/output.h"
#include "app/local_servers.h"
#include "base/fs.h"
#include "base/paths.h"
#include "base/units.h"
#include "base/words.h"
#include "base/yaml.h"
#include "experiment/config.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

using cap::FigureId;

struct QuickFlags {
  std::string target;  // URL, model file, or empty
  std::string model, api_key_env;
  std::vector<int> ports = UsualPorts();
  double seconds = 60;
  bool json = false;
};

// A folder that is gone with its value, whatever ends the verb but SIGKILL.
class Scratch {
 public:
  static Result<Scratch> Make() {
    std::string name = (TemporaryDir() / "moecap-quick-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return BadInput(
          fmt::format("cannot make a temporary folder in {}; set TMPDIR to one that can be written", TemporaryDir().string()));
    return Scratch(name);
  }
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit Scratch(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

constexpr int kLevels = 2;  // one client, and several at once
constexpr int kOutputTokens = 64, kFewTokens = 8;
constexpr double kSendShare = 0.5;  // of a level's time; the rest is for its warm-up and for what is in flight then

Json Levels(const QuickFlags& flags, int most_clients) {
  const double level_s = flags.seconds / kLevels;
  return {{"name", "quick"},
          {"load", {{"clients", {1, most_clients}}}},
          {"duration_s", level_s * kSendShare},
          {"drain_s", level_s * (1 - kSendShare) / 2}};
}

Json ServerConfigOf(const QuickFlags& flags, const LocalServer& server) {
  Json config = Levels(flags, 8);
  config["server"] = {{"url", server.url}, {"timeout_s", flags.seconds}};
  std::string model = flags.model;
  if (model.empty() && !server.identity.models.empty()) model = server.identity.models.front();
  if (!model.empty()) config["server"]["model"] = model;
  if (!flags.api_key_env.empty()) config["server"]["api_key_env"] = flags.api_key_env;
  config["workload"] = {{"input_tokens", 256}, {"output_tokens", kOutputTokens}};
  config["warmup_requests"] = 4;
  return config;
}

// The problems that come with the program are what the shipped model was trained for; another model is asked anything.
Json EngineConfigOf(const QuickFlags& flags, const fs::path& model, bool shipped) {
  Json config = Levels(flags, shipped ? 8 : 4);
  config["systems"] = Json::array({{{"model", model.string()}}});
  config["warmup_requests"] = 2;
  if (!shipped) {
    config["workload"] = {{"input_tokens", 128}, {"output_tokens", 32}};
    return config;
  }
  const std::string problems = ShippedPath("datasets/tinymath/test.jsonl").string();
  config["dataset"] = {{"path", problems}, {"problems", 40}, {"scoring", "gsm8k-strict-match"}};
  config["max_output_tokens"] = 200;
  config["context_tokens"] = 512;
  return config;
}

// What is said of a server is not ignored where there is none.
Status CheckNoServerFlags(const QuickFlags& flags, const std::string& why) {
  if (flags.model.empty() && flags.api_key_env.empty()) return {};
  return BadInput(fmt::format("{}, and {} is said of a server; name its URL, or leave the flag out", why,
                              flags.model.empty() ? "--api-key-env" : "--model"));
}

bool Serves(const LocalServer& server, const std::string& model) {
  const auto& models = server.identity.models;
  return model.empty() ? models.size() == 1 : std::ranges::find(models, model) != models.end();
}

// The first server here that serves the model, or just one; null: there is none at all. Error: kBadInput when there are others.
Result<std::optional<LocalServer>> ChooseServer(const QuickFlags& flags) {
  const SteadyClock clock;
  const char* const key = flags.api_key_env.empty() ? nullptr : std::getenv(flags.api_key_env.c_str());
  const std::vector<LocalServer> servers = FindLocalServers(flags.ports, key == nullptr ? "" : key, clock);
  for (const LocalServer& server : servers) {
    if (server.wants_key) {
      fmt::print(stderr, "{}: does not say what it serves: it wants a key\n", server.url);
    } else {
      fmt::print(stderr, "{}: {} with {}\n", server.url, openai::Name(server.identity.kind),
                 fmt::join(server.identity.models, ", "));
    }
  }
  const auto chosen = std::ranges::find_if(servers, [&](const LocalServer& server) { return Serves(server, flags.model); });
  if (chosen != servers.end()) return std::optional(*chosen);
  if (servers.empty()) return std::optional<LocalServer>();
  if (servers.front().wants_key)
    return BadInput(
        fmt::format("{} wants a key; give it by --api-key-env, or name another URL or a model file", servers.front().url));
  if (!flags.model.empty())
    return BadInput(fmt::format("no server here serves {}; choose one that is listed above", flags.model));
  return BadInput(
      fmt::format("{} serves {} models; choose one with --model", servers.front().url, servers.front().identity.models.size()));
}

// A server that is named or found here, else a model file that is named or comes with the program.
Result<Json> Choose(const QuickFlags& flags) {
  if (flags.target.find("://") != std::string::npos) return ServerConfigOf(flags, {.url = flags.target});
  if (!flags.target.empty()) {
    std::error_code error;
    if (!flags.target.ends_with(".gguf") && !fs::exists(flags.target, error))
      return BadInput(fmt::format("{} is no file that is here; a server's URL begins with its scheme: http://{}", flags.target,
                                  flags.target));
    RETURN_IF_ERROR(CheckNoServerFlags(flags, flags.target + " is a file"));
    return EngineConfigOf(flags, Absolute(flags.target), false);
  }
  ASSIGN_OR_RETURN(const auto server, ChooseServer(flags));
  if (server) return ServerConfigOf(flags, *server);
  RETURN_IF_ERROR(CheckNoServerFlags(
      flags, fmt::format("no server answers at the ports {} of this machine", fmt::join(flags.ports, ", "))));
  const fs::path model = ShippedPath("models/tiny-moe/tiny-moe-f16.gguf");
  if (model.empty())
    return BadInput(
        fmt::format("no server answers at the ports {} of this machine, and no model comes with the program; name one: "
                    "moecap quick URL, or moecap quick MODEL.gguf",
                    fmt::join(flags.ports, ", ")));
  fmt::print(stderr, "no server answers at the ports {} of this machine; the model that comes with the program:\n",
             fmt::join(flags.ports, ", "));
  return EngineConfigOf(flags, model, true);
}

// The half-sentences about a cell whose figures are known.
std::string InWords(const cap::CellSummary& cell) {
  std::vector<std::string> parts;
  const auto add = [&](FigureId id, auto words) {
    if (const auto value = cell.figures[id]) parts.push_back(words(*value));
  };
  add(FigureId::kOutputRate, [](double rate) { return fmt::format("{} output tokens/s", FormatSignificant(rate, 3)); });
  add(FigureId::kTtftMean, [](double s) { return fmt::format("the first after {}", FormatSeconds(s)); });
  add(FigureId::kTpotMean, [](double s) { return fmt::format("then one every {}", FormatSeconds(s)); });
  add(FigureId::kDecodeSMbu,
      [](double share) { return fmt::format("decode at {} of the peak bandwidth (S-MBU)", FormatPercent(share, 0)); });
  add(FigureId::kAccuracy, [](double share) { return fmt::format("{} of the problems right", FormatPercent(share, 0)); });
  add(FigureId::kUsdPerMillionTokens,
      [](double usd) { return fmt::format("USD {} for a million tokens", FormatSignificant(usd, 2)); });
  if (parts.empty()) parts.emplace_back("no request ended in time; give it more with --seconds");
  return fmt::format("{}: {}", cell.label, fmt::join(parts, ", "));
}

// What keeps the figures from being relied on, each once: requests that failed, gates that tripped.
std::vector<std::string> Doubts(const cap::SystemSummary& system) {
  std::vector<std::string> doubts, names;
  std::string first;
  for (const cap::CellSummary& cell : system.cells) {
    if (const double failed = cell.figures[FigureId::kFailed].value_or(0); failed > 0) {
      doubts.push_back(fmt::format("{}: {:.0f} of {:.0f} requests failed", cell.label, failed,
                                   cell.figures[FigureId::kRequests].value_or(0)));
    }
    for (const metrics::Gate& gate : cell.gates) {
      if (!gate.tripped() || std::ranges::count(names, gate.name) > 0) continue;
      if (names.empty()) first = gate.explanation;
      names.push_back(gate.name);
    }
  }
  if (!names.empty())
    doubts.push_back(fmt::format("gates that tripped: {}; the first says: {}", fmt::join(names, ", "), first));
  return doubts;
}

// `answer_tokens`: of a server's answers.
void PrintVerdict(const cap::SystemSummary& system, const QuickFlags& flags, int answer_tokens) {
  const std::vector<std::string> doubts = Doubts(system);
  PrintParagraph(fmt::format("{}: {}{}{}", doubts.empty() ? "Works" : "Works, but the figures are doubtful", system.engine,
                             system.model_id.empty() ? "" : " with ", PrintableText(system.model_id)));
  for (const cap::CellSummary& cell : system.cells) PrintParagraph("  " + InWords(cell), 4);
  for (const std::string& doubt : doubts) PrintParagraph("  ! " + PrintableText(doubt), 4);
  if (answer_tokens < kOutputTokens)
    PrintParagraph(fmt::format("  Answers had {} tokens instead of {}, so that they ended in the time that was given.",
                               answer_tokens, kOutputTokens),
                   2);
  std::string further = "moecap run";
  if (!system.in_process) {
    further = "moecap load " + system.url;
    if (!flags.model.empty()) further += " --model " + ShellLine(std::span(&flags.model, 1));
    if (!flags.api_key_env.empty()) further += " --api-key-env " + flags.api_key_env;
    further += " --clients 1,8,64 --repeats 5";
  }
  PrintParagraph("\nOne repetition decides nothing. Further: " + further);
}

Result<cap::JudgedExperiment> Measure(const Json& json, const Scratch& scratch, const Invocation& invocation) {
  ASSIGN_OR_RETURN(experiment::Config config, experiment::ParseConfig(ToYaml(json), "the command line", Absolute(".")));
  return MeasureInScratch(std::move(config), scratch.path(), invocation);
}

// How many tokens an answer may have for two to end, one after the other, while requests are sent: one short request tells.
Result<int> TokensInTime(const QuickFlags& flags, Json config, const Scratch& scratch, const Invocation& invocation) {
  config["name"] = "quick-first";
  config["load"] = {{"clients", 1}};
  config["warmup_requests"] = 0;
  config["workload"] = {{"input_tokens", 256}, {"output_tokens", kFewTokens}, {"requests", 1}};
  config.erase("duration_s");
  config.erase("drain_s");
  ASSIGN_OR_RETURN(const cap::JudgedExperiment first, Measure(config, scratch, invocation));
  const auto token_s = first.summary.systems.front().cells.front().figures[FigureId::kTpotMean];
  const double window_s = flags.seconds / kLevels * kSendShare;
  return token_s && *token_s > 0 ? static_cast<int>(std::clamp<double>(window_s / 2 / *token_s, kFewTokens, kOutputTokens))
                                 : kOutputTokens;
}

Status Quick(const QuickFlags& flags, const Invocation& invocation) {
  ASSIGN_OR_RETURN(Json config, Choose(flags));
  ASSIGN_OR_RETURN(const Scratch scratch, Scratch::Make());
  int answer_tokens = kOutputTokens;
  if (config.contains("server")) {
    ASSIGN_OR_RETURN(answer_tokens, TokensInTime(flags, config, scratch, invocation));
    config["workload"]["output_tokens"] = answer_tokens;
  }
  ASSIGN_OR_RETURN(const cap::JudgedExperiment judged, Measure(config, scratch, invocation));
  if (flags.json) {
    PrintReport(judged, true, false);
  } else {
    PrintVerdict(judged.summary.systems.front(), flags, answer_tokens);
  }
  return {};
}

}  // namespace

Action AddQuick(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<QuickFlags>();
  app.add_option(
      "target", flags->target,
      "the URL of a server, or a .gguf file (default: a server at a usual port, else the model that comes with the program)");
  app.add_option("--model", flags->model, "as the server knows it (default: the only one it lists)");
  app.add_option("--api-key-env", flags->api_key_env, "environment variable that holds the server's key");
  app.add_option("--ports", flags->ports,
                 fmt::format("of this machine, where servers are looked for (default: {})", fmt::join(UsualPorts(), ",")))
      ->delimiter(',')
      ->check(CLI::Range(1, 65535));
  app.add_option("--seconds", flags->seconds, "about how long it takes (default: 60)")->check(CLI::Range(1.0, 3600.0));
  app.add_flag("--json", flags->json, "print the summary as JSON");
  app.footer(
      "Stores nothing: what is measured lies in a temporary folder, which is removed.\n\nExamples:\n"
      "  moecap quick\n"
      "  moecap quick http://127.0.0.1:8000\n"
      "  moecap quick model.gguf");
  return [flags, &invocation] { return Quick(*flags, invocation); };
}

}  // namespace moecap::app
