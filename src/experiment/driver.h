// What an experiment needs of a system beside load's interface: what it is, what it can be asked, how it is started at a level,
// how its routing is read. app/ wires the drivers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/config.h"
#include "experiment/launch_facts.h"
#include "experiment/server_passes.h"
#include "hardware/energy_reading.h"
#include "load/server_counters.h"
#include "load/system_under_test.h"
#include "metrics/pass_reconstruction.h"
#include "model/model_spec.h"

namespace moecap::experiment {

// What a system computes on. The denominators of its figures, its price and its power are those of these devices.
struct SystemDevices {
  std::vector<std::string> gpus;  // "CUDA0 (NVIDIA H200)"; empty = the processor alone
  int gpu_layers = 0;             // layers on GPUs; -1 = all
  int cpu_experts = 0;            // of so many first layers the routed experts lie in host memory; kAllLayers = of all
  hardware::UsedDevices energy;   // whose energy counters count its work
};

// Routed experts that an engine in this process leaves on disk beyond a budget.
struct ExpertsOnDisk {
  double budget_bytes = 0;                 // in memory at most
  double total_bytes = 0;                  // of all routed experts
  std::string policy, prefetch;            // in words: "least recently used", "none"
  std::optional<double> disk_bytes_per_s;  // what reads of single matrices reach; null = could not be measured
};

// What a server offers, as it was found: system/openai/capability.h.
struct ServerCapability {
  std::string name;     // "cached tokens"
  std::string support;  // "yes", "taken", "ignored", "no", "not asked"
  std::string detail;   // what was seen; may be empty
  std::string remedy;   // what would switch on what is missing; "" = nothing is known
};

// Token ids that a system knows.
struct Vocabulary {
  int64_t size = 0;          // those of [0, size) exist
  std::vector<int32_t> ids;  // ascending: only these are known to be ordinary tokens; empty = not told apart
  std::string source;        // "n_vocab of /v1/models"
};

struct SystemDescription {
  std::string name;
  std::string engine;       // "llama.cpp v0.5.0 (CPU)", "vLLM 0.11.0"
  std::string description;  // one line for the report
  bool in_process = true;   // the model runs in this process: this machine's counters and ceilings are the system's
  // A server whose devices are this machine's, as the configuration says: `machine: here`, or a machine beside a loopback URL.
  bool server_here = false;
  bool on_this_machine = true;  // it shares this machine with the client; any server of several
  // Of an engine in this process.
  std::string model_file;
  uint64_t model_file_bytes = 0;
  std::string model_file_xxh3;  // of the whole file, 16 hex digits; empty = not computed
  int threads = 0;
  SystemDevices devices;
  std::optional<ExpertsOnDisk> experts_on_disk;  // null: all are in memory
  // Of a server.
  std::string url, api;                // of the first address, without userinfo
  std::filesystem::path pass_records;  // ServerConfig::pass_records
  std::vector<ServerCapability> capabilities;
  std::map<std::string, std::string> facts;  // what its pages tell: "tensor parallel": "2"
  model::ModelSpec model;                    // without layers where a server does not tell

  // Of the weights that are in memory at most.
  double ResidentWeightBytes() const;
  // Whether this machine's counters saw its work.
  bool RunsHere() const { return in_process || server_here; }
};

struct StartOptions {
  // Requests in flight that are expected: KV slots of an engine, connections opened to a server. 0: none is opened, and a
  // launched server need not run.
  int connections = 1;
  int threads = 1;                // that drive it; an engine in this process has one
  bool keep_text = false;         // answers are wanted as text
  std::string request_id_prefix;  // of the x-request-id that a server gets
};

// A system started for one measurement.
class SystemInstance {
 public:
  virtual ~SystemInstance() = default;
  // One for each thread that drives the load.
  virtual std::vector<load::SystemUnderTest*> systems() = 0;

  // Between these two calls the system remembers what it computes, for the routing. Must cost nothing inside a pass.
  virtual void BeginMeasurement() {}
  // Fills expert_counts and distinct_experts of the passes since BeginMeasurement, from an instrumented second execution.
  // Returns the share of tokens that it chose as the timed one did: 1 but for GPUs, whose sums differ in the last bits when
  // watched.
  virtual Result<double> AddRouting(std::vector<record::PassRecord>&) { return 1.0; }
};

class SystemDriver {
 public:
  virtual ~SystemDriver() = default;
  virtual const SystemDescription& description() const = 0;

  // Loads the model, or starts the server, if that is not done. At most one instance at a time. Error: kFailed, kBadInput with
  // a remedy.
  virtual Result<std::unique_ptr<SystemInstance>> Start(const StartOptions& options) = 0;
  // Frees the model, or ends the server that this program started, until the next Start.
  virtual void Unload() {}

  // How this program started the server; null when it did not.
  virtual const LaunchFacts* launch() const { return nullptr; }
  // How a launched server that ended by itself did, with the end of its log; "" = it did not.
  virtual std::string WhyItEnded() { return ""; }

  virtual bool TakesTokenIds() const = 0;
  // Null = not known. May ask a server.
  virtual std::optional<Vocabulary> KnownVocabulary() { return std::nullopt; }
  // Tokens that a prompt and its answer may have together, as a server tells, or says when it refuses a prompt of so many
  // words; null = not known. May ask a server.
  virtual std::optional<int64_t> ContextTokens([[maybe_unused]] int64_t words) { return std::nullopt; }
  virtual bool TakesMessages() const { return false; }  // chat
  virtual bool CanIgnoreEndToken() const = 0;
  virtual bool CanTokenize() const { return false; }
  // Tokens of a prompt's text as the system counts them. Requires CanTokenize.
  virtual Result<int64_t> CountTokens(const std::string& text);
  // Error: kBadInput when it has no interface for it.
  virtual Status FlushPrefixCache();
  // How a server's passes follow from the arrival of its tokens, and where its limit was found; null = they do not.
  struct Passes {
    metrics::PassRule rule;
    std::string limit_source;       // of rule.most_tokens: "--max-num-batched-tokens"; "" = none is known
    bool limit_is_assumed = false;  // what such servers do by themselves
  };
  virtual std::optional<Passes> PassesOf() const { return std::nullopt; }
  // Sends the requests once more, `concurrency` at a time, for the experts that each token of their answers used. One entry a
  // request. `stop` may be empty. Error: kBadInput with the remedy when the server does not tell them; kInterrupted.
  struct Experts {
    std::vector<ToldExperts> answers;
    std::vector<std::string> findings;  // what makes them doubtful, one sentence each
  };
  virtual Result<Experts> AskForExperts(std::span<const load::RequestSpec> requests, int concurrency,
                                        const std::function<bool()>& stop);
  // The words that make a launched server tell them and that the timed one lacks: it is started anew with them, so they are
  // asked for after all that is timed. "" = the server as it runs is asked.
  virtual std::string CaptureFlags() const { return ""; }

  // What a server counted since it was started, for whomever, when its counters have come to rest; null = no page tells.
  virtual std::optional<load::ServerCounters> CountersSoFar() { return std::nullopt; }
  // How much a launched server has printed; null where nobody keeps it. And what it printed behind that.
  virtual std::optional<uint64_t> LogSize() { return std::nullopt; }
  virtual std::string LogSince(uint64_t) { return ""; }
  // How a server is no longer the one that was met first: another model, its end; "" = nothing shows it.
  virtual std::string WhatChanged() { return ""; }
  // What this machine does, with so many streams and threads, against a server that does nothing: tokens a second. Starts that
  // server and ends it. Error: kFailed; kBadInput for a system in this process.
  virtual Result<double> MeasureHeadRoom(int streams, int threads);
};

using DriverFactory = std::function<Result<std::unique_ptr<SystemDriver>>(const SystemConfig& system, const Config& config)>;

}  // namespace moecap::experiment
