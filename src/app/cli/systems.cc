// moecap systems: what a server offers, and how one is started for a benchmark.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/launch_lines.h"
#include "app/server_connection.h"
#include "base/json.h"

namespace moecap::app {
namespace {

struct SystemsFlags {
  std::string url, name;
  bool json = false;
  experiment::ServerConfig server;
  LaunchOptions launch;
};

constexpr size_t kOtherColumns = 30;  // what stands before the last column of capabilities

using Rows = std::vector<std::vector<std::string>>;

void PrintTable(const std::vector<TableColumn>& columns, const Rows& rows) {
  PrintText(RenderTable(columns, rows, TerminalTable()));
}

Status ListSystems(const SystemsFlags& flags) {
  Rows rows;
  Json list = Json::array();
  for (const LaunchSystem& system : LaunchSystems()) {
    const std::string tested = system.tested.empty() ? "unproven: from its documentation" : std::string(system.tested);
    rows.push_back({std::string(system.name), std::string(system.kind), tested});
    list.push_back({{"name", system.name}, {"kind", system.kind}, {"tested", system.tested}});
  }
  if (flags.json) {
    PrintText(DumpJsonPretty({{"systems", list}}));
    return {};
  }
  PrintTable({{"", "system", Align::kLeft, true}, {"", "server kind", Align::kLeft}, {"", "launch line run", Align::kLeft}},
             rows);
  PrintParagraph(
      "\nShown with: moecap systems show NAME --model MODEL. What a running server offers: moecap systems URL. The embedded "
      "engine "
      "(llama.cpp) needs no server: `model:` in a configuration.");
  return {};
}

Status ShowSystem(const SystemsFlags& flags) {
  ASSIGN_OR_RETURN(const LaunchSystem* const system, FindLaunchSystem(flags.name));
  ASSIGN_OR_RETURN(const LaunchLine line, LaunchLineOf(flags.name, flags.launch));
  const std::string url = fmt::format("http://127.0.0.1:{}", flags.launch.port);
  if (flags.json) {
    PrintText(DumpJsonPretty({{"name", system->name},
                              {"kind", system->kind},
                              {"command", line.command},
                              {"file", line.file_name.empty() ? Json(nullptr) : Json(line.file_name)},
                              {"file_text", line.file_text.empty() ? Json(nullptr) : Json(line.file_text)},
                              {"ready", url + std::string(system->ready)},
                              {"proven", !system->tested.empty()},
                              {"tested", system->tested},
                              {"note", system->note}}));
    return {};
  }
  if (!line.file_name.empty()) PrintText(fmt::format("cat > {} <<'END'\n{}END\n", line.file_name, line.file_text));
  PrintText(line.command + "\n");
  PrintParagraph(fmt::format("\n# ready when {}{} answers 200; then: moecap load {}", url, system->ready, url));
  PrintParagraph(system->tested.empty() ? "# unproven: from its documentation, not run here"
                                        : fmt::format("# run with {}", system->tested));
  if (!system->note.empty()) PrintParagraph(fmt::format("# {}", system->note));
  return {};
}

Json ToJson(const ServerConnection& connection) {
  Json facts = Json::object(), capabilities = Json::array();
  for (const auto& [name, value] : openai::InWords(connection.facts)) facts[name] = value;
  for (const experiment::ServerCapability& capability : DescribeCapabilities(connection)) {
    capabilities.push_back({{"name", capability.name},
                            {"support", capability.support},
                            {"detail", capability.detail},
                            {"remedy", capability.remedy}});
  }
  Json vocabulary = nullptr;
  if (const auto& known = connection.vocabulary)
    vocabulary = {{"size", known->size}, {"known_ids", known->ids.size()}, {"source", known->source}};
  return {{"url", connection.url},
          {"kind", openai::Name(connection.identity.kind)},
          {"version", connection.identity.version},
          {"model", connection.options.profile.model},
          {"api", openai::Name(connection.options.profile.api)},
          {"vocabulary", vocabulary},
          {"facts", facts},
          {"capabilities", capabilities}};
}

std::string VocabularyInWords(const std::optional<experiment::Vocabulary>& vocabulary) {
  if (!vocabulary) return "not known: prompts will be words, unless --vocabulary is given";
  if (vocabulary->ids.empty()) return fmt::format("{} ids ({})", vocabulary->size, vocabulary->source);
  return fmt::format("at least {} ids, {} of them known ({})", vocabulary->size, vocabulary->ids.size(), vocabulary->source);
}

Status Inspect(const SystemsFlags& flags) {
  experiment::ServerConfig server = flags.server;
  server.urls = {flags.url};
  const SteadyClock clock;
  ASSIGN_OR_RETURN(ServerConnection connection, ConnectServer(server, clock));
  RETURN_IF_ERROR(InspectServer(connection, Inspection::kWhole, clock));
  if (flags.json) {
    PrintText(DumpJsonPretty(ToJson(connection)));
    return {};
  }
  const openai::RequestProfile& profile = connection.options.profile;
  Rows rows = {{"server", connection.ServerName()},
               {"model", profile.model},
               {"api", std::string(openai::Name(profile.api))},
               {"vocabulary", VocabularyInWords(connection.vocabulary)}};
  for (const auto& [name, value] : openai::InWords(connection.facts)) {
    if (name != "vocabulary") rows.push_back({name, value});
  }
  PrintTable({{"", "what it is", Align::kLeft, true}, {"", "", Align::kLeft}}, rows);
  rows.clear();
  for (const experiment::ServerCapability& capability : DescribeCapabilities(connection)) {
    const std::string rest = capability.remedy.empty() ? capability.detail : capability.remedy;
    rows.push_back(
        {capability.name, capability.support, Shorten(PrintableText(rest), TerminalWidth() - kOtherColumns, WantsUnicode())});
  }
  PrintText("\n");
  PrintTable({{"", "what it offers", Align::kLeft, true},
              {"", "", Align::kLeft},
              {"", "what was seen, or switches it on", Align::kLeft}},
             rows);
  return {};
}

void AddServerFlags(CLI::App& app, experiment::ServerConfig& server) {
  app.add_option("--api", server.api, "as of moecap load (default: completions)");
  app.add_option("--kind", server.kind, "what the server is (default: it is asked)");
  app.add_option("--model", server.model, "as the server knows it (default: the only one it lists)");
  app.add_option("--api-key-env", server.api_key_env, "environment variable that holds the server's key");
  app.add_flag("--insecure", server.insecure, "accept any certificate");
}

}  // namespace

Action AddSystems(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<SystemsFlags>();
  app.add_option("url", flags->url, "of a running server: it is asked what it offers, by a few short requests");
  app.add_flag("--json", flags->json, "print JSON");
  AddServerFlags(app, flags->server);
  CLI::App* show = app.add_subcommand("show", "the command that starts a system for a benchmark");
  show->add_option("name", flags->name, "one of those that `moecap systems` lists")->required();
  show->add_option("--model", flags->launch.model, "path or name");
  show->add_option("--gpus", flags->launch.gpus, "0 = on the processor (default: 1)")->check(CLI::Range(0, 1024));
  show->add_option("--port", flags->launch.port, "(default: 8000)")->check(CLI::Range(1, 65535));
  show->add_option("--batch", flags->launch.batch, "most requests at once (default: 64)")->check(CLI::Range(1, 100000));
  show->add_option("--context", flags->launch.context, "tokens of prompt and answer (default: 8192)")
      ->check(CLI::Range(16, 10000000));
  show->add_flag("--experts", flags->launch.experts, "with what records expert ids, which costs time");
  show->add_flag("--json", flags->json, "print JSON");
  app.require_subcommand(0, 1);
  app.footer(
      "Without a URL: the systems whose start is known.\n\nExamples:\n"
      "  moecap systems http://127.0.0.1:8000\n"
      "  moecap systems show vllm --model Qwen/Qwen3-30B-A3B --gpus 8 --batch 128");
  return [flags, show] {
    if (show->parsed()) return ShowSystem(*flags);
    return flags->url.empty() ? ListSystems(*flags) : Inspect(*flags);
  };
}

}  // namespace moecap::app
