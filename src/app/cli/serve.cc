// moecap serve: the stored runs as pages for a team.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "app/cli/cli.h"
#include "app/cli/signal_wait.h"
#include "app/cli/stored_runs.h"
#include "app/planned_launch.h"
#include "base/fs.h"
#include "web/site.h"

namespace moecap::app {
namespace {

constexpr const char* kTokenVariable = "MOECAP_SERVE_TOKEN";

struct ServeFlags {
  std::string results_dir = kResultsDir;
  std::string listen = "127.0.0.1:7070";
  std::vector<std::string> hosts;
  bool write = false;
  std::string ready_file;
};

bool IsLoopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

// The token of those who may write: from the environment, or made anew.
Result<std::optional<std::string>> TokenOf(const ServeFlags& flags) {
  if (!flags.write) return std::optional<std::string>();
  const char* given = std::getenv(kTokenVariable);
  if (given == nullptr || *given == '\0') {
    ASSIGN_OR_RETURN(std::string token, web::MakeToken());
    return std::optional(std::move(token));
  }
  constexpr size_t kFewest = 16;
  if (std::string_view(given).size() < kFewest)
    return BadInput(
        fmt::format("{} has fewer than {} characters; use a longer one, or none and one is made", kTokenVariable, kFewest));
  return std::optional<std::string>(given);
}

Status Serve(const ServeFlags& flags) {
  ASSIGN_OR_RETURN(const web::ServerOptions server, web::ListenAt(flags.listen));
  ASSIGN_OR_RETURN(const auto token, TokenOf(flags));
  if (flags.write) RETURN_IF_ERROR(MakeWritableDir(flags.results_dir));
  const SignalWait signals;
  const auto site = web::MakeSite({.results_dir = flags.results_dir,
                                   .guard = {flags.hosts, token},
                                   .summarize = SummaryOf,
                                   .make_figures = MakeFigures,
                                   .launch = [](const planner::Plan& plan) { return LaunchOf(plan); }});
  ASSIGN_OR_RETURN(const auto listening, web::HttpServer::Start(server, *site));
  if (!IsLoopback(server.address))
    fmt::print(stderr, "Everyone who reaches {} can read the runs in {}.\n", server.address, flags.results_dir);
  fmt::print("{}{}\n", listening->url(), token ? "/import#token=" + *token : "");
  if (!flags.ready_file.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.ready_file, listening->url() + "\n"));
  signals.Wait();
  return {};
}

}  // namespace

Action AddServe(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<ServeFlags>();
  app.add_option("--results-dir", flags->results_dir, "where runs are stored")->capture_default_str();
  app.add_option("--listen", flags->listen, "address and port; port 0: any free one")->capture_default_str();
  app.add_option("--host", flags->hosts, "a name under which browsers reach this server, besides localhost and addresses");
  app.add_flag("--write", flags->write,
               fmt::format("let runs be imported by whoever has the token: that of {}, or one that is made and printed",
                           kTokenVariable));
  app.add_option("--ready-file", flags->ready_file, "a file to write the URL to when listening");
  app.footer(
      "Prints the URL when it listens; SIGTERM or SIGINT end it. Pages and API: docs/serve.md.\nExamples:\n"
      "  moecap serve\n"
      "  moecap serve --results-dir /srv/runs --listen 0.0.0.0:7070 --host bench.example.org\n"
      "  MOECAP_SERVE_TOKEN=$(cat token) moecap serve --write");
  return [flags] { return Serve(*flags); };
}

}  // namespace moecap::app
