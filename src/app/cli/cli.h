// The command line: one verb a file, wired together in cli.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace moecap::app {

inline constexpr const char* kVersion = MOECAP_VERSION;

enum ExitCode { kOk = 0, kRunFailed = 1, kUsage = 2, kTargetMissed = 3, kInterruptedByUser = 130 };

// What a verb needs of the process besides its own flags.
struct Invocation {
  std::vector<std::string> command;  // argv, for the manifest
};

// Parses argv, runs the verb, prints its error as one line and returns the exit code.
int Main(int argc, char** argv);

// A verb adds its flags to `app` and returns the function that runs it after parsing.
using Action = std::function<Status()>;
Action AddRun(CLI::App& app, const Invocation& invocation);
Action AddLoad(CLI::App& app, const Invocation& invocation);
Action AddCompare(CLI::App& app, const Invocation& invocation);
Action AddRuns(CLI::App& app, const Invocation& invocation);
Action AddReport(CLI::App& app, const Invocation& invocation);
Action AddModel(CLI::App& app, const Invocation& invocation);
Action AddMetrics(CLI::App& app, const Invocation& invocation);
Action AddCost(CLI::App& app, const Invocation& invocation);
Action AddDatasets(CLI::App& app, const Invocation& invocation);
Action AddHardware(CLI::App& app, const Invocation& invocation);
Action AddTrace(CLI::App& app, const Invocation& invocation);
Action AddScore(CLI::App& app, const Invocation& invocation);
Action AddJudge(CLI::App& app, const Invocation& invocation);
Action AddSynth(CLI::App& app, const Invocation& invocation);
Action AddAudit(CLI::App& app, const Invocation& invocation);
Action AddServe(CLI::App& app, const Invocation& invocation);
Action AddMock(CLI::App& app, const Invocation& invocation);
Action AddPlan(CLI::App& app, const Invocation& invocation);
Action AddSweep(CLI::App& app, const Invocation& invocation);
Action AddSystems(CLI::App& app, const Invocation& invocation);
Action AddWatch(CLI::App& app, const Invocation& invocation);
Action AddValidate(CLI::App& app, const Invocation& invocation);
Action AddQuick(CLI::App& app, const Invocation& invocation);
Action AddDoctor(CLI::App& app, const Invocation& invocation);
Action AddGenerate(CLI::App& app, const Invocation& invocation);

}  // namespace moecap::app
