// moecap quick: one verdict in about a minute, and no file.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
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

constexpr int kLevels = 2;          // one client, and several at once
constexpr double kSendShare = 0.5;  // of a level's time; the rest is for its warm-up and for what is in flight then

Json Levels(const QuickFlags& flags, int most_clients) {
  const double level_s = flags.seconds / kLevels;
  return {{"name", "quick"},
          {"load", {{"clients", {1, most_clients}}}},
          {"duration_s", level_s * kSendShare},
          {"drain_s", level_s * (1 - kSendShare) / 2}};
}

Json ServerConfigOf(const QuickFlags& flags, const std::string& url) {
  Json server = {{"url", url}, {"timeout_s", flags.seconds}};
  if (!flags.model.empty()) server["model"] = flags.model;
  if (!flags.api_key_env.empty()) server["api_key_env"] = flags.api_key_env;
  Json config = Levels(flags, 8);
  config["server"] = server;
  config["workload"] = {{"input_tokens", 256}, {"output_tokens", 64}};
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

// A server that is named or found here, else a model file that is named or comes with the program.
Result<Json> Choose(const QuickFlags& flags) {
  if (flags.target.find("://") != std::string::npos) return ServerConfigOf(flags, flags.target);
  if (!flags.target.empty()) return EngineConfigOf(flags, Absolute(flags.target), false);
  const SteadyClock clock;
  const std::vector<LocalServer> servers = FindLocalServers(flags.ports, clock);
  for (const LocalServer& server : servers) {
    fmt::print(stderr, "{}: {}{}{}\n", server.url, openai::Name(server.identity.kind),
               server.identity.models.empty() ? "" : " with ", fmt::join(server.identity.models, ", "));
  }
  if (!servers.empty()) return ServerConfigOf(flags, servers.front().url);
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

void PrintVerdict(const cap::SystemSummary& system) {
  const std::vector<std::string> doubts = Doubts(system);
  PrintParagraph(fmt::format("{}: {}{}{}", doubts.empty() ? "Works" : "Works, but the figures are doubtful", system.engine,
                             system.model_id.empty() ? "" : " with ", PrintableText(system.model_id)));
  for (const cap::CellSummary& cell : system.cells) PrintParagraph("  " + InWords(cell), 4);
  for (const std::string& doubt : doubts) PrintParagraph("  ! " + PrintableText(doubt), 4);
  PrintParagraph(
      "\nOne repetition decides nothing. Further: " +
      (system.in_process ? std::string("moecap run") : fmt::format("moecap load {} --clients 1,8,64 --repeats 5", system.url)));
}

Status Quick(const QuickFlags& flags, const Invocation& invocation) {
  ASSIGN_OR_RETURN(const Json json, Choose(flags));
  ASSIGN_OR_RETURN(experiment::Config config, experiment::ParseConfig(ToYaml(json), "the command line", Absolute(".")));
  ASSIGN_OR_RETURN(const Scratch scratch, Scratch::Make());
  ASSIGN_OR_RETURN(const cap::JudgedExperiment judged, MeasureInScratch(std::move(config), scratch.path(), invocation));
  if (flags.json) {
    PrintReport(judged, true, false);
  } else {
    PrintVerdict(judged.summary.systems.front());
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
