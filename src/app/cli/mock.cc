// moecap mock: a server simulated from a model and a device.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "app/cli/cli.h"
#include "app/cli/model_flags.h"
#include "app/cli/signal_wait.h"
#include "base/fs.h"
#include "hardware/catalogue.h"
#include "mock/server.h"

namespace moecap::app {
namespace {

using mock::Spread;

struct MockFlags {
  ModelFlags model;
  std::string device;
  std::optional<double> bandwidth, flops, kv_gb;
  std::string served_name;
  std::string answers;
  std::string dialect = "vllm";
  std::string ttft, tpot, output_tokens;
  bool null_server = false;
  bool no_chunked_prefill = false;
  bool no_prefix_cache = false;
  std::vector<std::string> faults;
  std::optional<double> stall_at_s;
  double stall_for_s = 2;
  std::string api_key_env;
  double spin_us = 60;
  std::string ready_file;
  mock::EngineModelOptions engine;
  int64_t max_running = 256;
  uint64_t seed = 1;
  int64_t max_context = 0;
  mock::ServerOptions server;
};

Status FillRoofline(const MockFlags& flags, const model::ModelSpec& model, mock::Roofline& roofline) {
  if (flags.device.empty()) return BadInput("give --device ID, or --ttft-s and --tpot-s, or --null");
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(flags.device));
  const std::string type = model.compute_type.empty() ? "bf16" : model.compute_type;
  const auto bandwidth = flags.bandwidth ? flags.bandwidth : device.bandwidth_bytes_per_s;
  const auto peak = flags.flops ? flags.flops : hardware::DensePeak(device, type);
  if (!bandwidth) return BadInput(fmt::format("the catalogue has no bandwidth of {}; give --bandwidth-bytes-per-s", device.id));
  if (!peak) return BadInput(fmt::format("the catalogue has no {} peak of {}; give --flops-per-s", type, device.id));
  if (!device.memory_bytes && !flags.kv_gb) {
    return BadInput(fmt::format("the catalogue has no memory size of {}; give --kv-gb", device.id));
  }
  roofline.bandwidth_bytes_per_s = *bandwidth;
  roofline.flops_per_s = *peak;
  roofline.memory_bytes = device.memory_bytes.value_or(0);
  return {};
}

// The engine: a roofline, drawn times, or none.
Status FillEngine(const MockFlags& flags, mock::ServerOptions& server) {
  const bool timed = !flags.ttft.empty() || !flags.tpot.empty();
  if (timed && (flags.ttft.empty() || flags.tpot.empty())) return BadInput("--ttft-s and --tpot-s belong together");
  if (flags.null_server && timed) return BadInput("--null answers at once; it takes no --ttft-s and --tpot-s");
  server.null_server = flags.null_server;
  server.timed.max_running = timed ? flags.max_running : INT64_MAX;
  if (timed) {
    ASSIGN_OR_RETURN(server.timed.ttft_s, mock::ParseSpread(flags.ttft, "--ttft-s"));
    ASSIGN_OR_RETURN(server.timed.tpot_s, mock::ParseSpread(flags.tpot, "--tpot-s"));
  }
  if (!timed && !flags.null_server) {
    mock::EngineModelOptions engine = flags.engine;
    RETURN_IF_ERROR(FillRoofline(flags, server.model, engine.roofline));
    engine.max_running = flags.max_running;
    engine.chunked_prefill = !flags.no_chunked_prefill;
    engine.prefix_cache = !flags.no_prefix_cache;
    engine.seed = flags.seed;
    if (flags.kv_gb) engine.kv_bytes = *flags.kv_gb * 1e9;
    server.simulated = engine;
  }
  const bool routes = server.dialect == mock::Dialect::kVllm || server.dialect == mock::Dialect::kSglang;
  if (server.routed_experts && (!routes || !server.simulated || server.model.MoeLayers() == 0)) {
    return BadInput("--routed-experts needs --dialect vllm or sglang, a model with experts, and --device");
  }
  return {};
}

// Without a model, a mock of drawn times needs only a vocabulary.
Result<model::ModelSpec> ModelOf(const MockFlags& flags) {
  if (!flags.model.name.empty()) return OpenModel(flags.model);
  if (flags.ttft.empty() && !flags.null_server) return BadInput("give --model ID, or --ttft-s and --tpot-s, or --null");
  model::ModelSpec spec;
  spec.id = "mock";
  spec.vocab = 32000;
  spec.max_context = 1 << 20;
  return spec;
}

Status FillKey(const MockFlags& flags, mock::ServerOptions& server) {
  if (flags.api_key_env.empty()) return {};
  const char* key = std::getenv(flags.api_key_env.c_str());
  if (key == nullptr || *key == '\0') {
    return BadInput(fmt::format("--api-key-env {}: no such environment variable, or an empty one", flags.api_key_env));
  }
  server.api_key = key;
  return {};
}

Result<mock::ServerOptions> OptionsOf(const MockFlags& flags) {
  mock::ServerOptions server = flags.server;
  ASSIGN_OR_RETURN(server.dialect, mock::ParseDialect(flags.dialect));
  for (const std::string& text : flags.faults) {
    ASSIGN_OR_RETURN(const auto faults, mock::ParseFaults(text));
    server.faults.insert(server.faults.end(), faults.begin(), faults.end());
  }
  if (server.tls_certificate_file.empty() != server.tls_key_file.empty()) {
    return BadInput("--tls-cert and --tls-key belong together");
  }
  ASSIGN_OR_RETURN(server.model, ModelOf(flags));
  if (server.model.vocab < 4) server.model.vocab = 32000;
  if (flags.max_context > 0) server.model.max_context = flags.max_context;
  if (!flags.answers.empty()) {
    ASSIGN_OR_RETURN(mock::KnownAnswers answers, mock::KnownAnswers::Read(flags.answers, server.model.vocab));
    server.known_answers = std::make_shared<const mock::KnownAnswers>(std::move(answers));
  }
  server.model_name = flags.served_name.empty() ? server.model.id : flags.served_name;
  if (!flags.output_tokens.empty()) {
    ASSIGN_OR_RETURN(server.output_tokens, mock::ParseSpread(flags.output_tokens, "--output-tokens"));
  }
  server.seed = flags.seed;
  server.stall_at_s = flags.stall_at_s;
  server.stall_for_s = flags.stall_for_s;
  server.spin_ns = static_cast<int64_t>(flags.spin_us * 1e3);
  RETURN_IF_ERROR(FillEngine(flags, server));
  RETURN_IF_ERROR(FillKey(flags, server));
  return server;
}

Status Mock(const MockFlags& flags) {
  ASSIGN_OR_RETURN(const mock::ServerOptions options, OptionsOf(flags));
  const SignalWait signals;
  ASSIGN_OR_RETURN(const auto server, mock::Server::Start(options));
  fmt::print("{}\n", server->url());
  if (!flags.ready_file.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.ready_file, server->url() + "\n"));
  signals.Wait();
  server->Stop();
  const mock::Lateness late = server->lateness();
  if (late.tokens > 0) {
    fmt::print(stderr, "{} tokens written; after their time by p50 {:.1f} us, p99 {:.1f} us, at most {:.1f} us\n", late.tokens,
               late.p50_us, late.p99_us, late.max_us);
  }
  return {};
}

void AddEngineFlags(CLI::App& app, MockFlags& flags) {
  mock::Roofline& roofline = flags.engine.roofline;
  app.add_option("--model", flags.model.name, "id of the catalogue, config.json, folder or .gguf");
  app.add_option("--weights", flags.model.precision, "weights as served (default: as the model's file says)");
  app.add_option("--kv", flags.model.kv, "type of the KV cache");
  app.add_option("--device", flags.device, "device of the catalogue");
  app.add_option("--devices", roofline.devices, "how many of them; their peaks and memories add up")
      ->check(CLI::PositiveNumber);
  app.add_option("--bandwidth-bytes-per-s", flags.bandwidth, "peak of one device, instead of the catalogue's")
      ->check(CLI::PositiveNumber);
  app.add_option("--flops-per-s", flags.flops, "dense peak of one device, instead of the catalogue's")
      ->check(CLI::PositiveNumber);
  app.add_option("--bandwidth-efficiency", roofline.bandwidth_efficiency, "share of the bandwidth that a pass reaches")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  app.add_option("--compute-efficiency", roofline.compute_efficiency, "share of the peak that a pass reaches")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  app.add_option("--overhead-s", roofline.overhead_s, "time of a pass besides, in seconds")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  app.add_option("--kv-gb", flags.kv_gb, "KV memory, instead of 90 % of the devices' memory less the weights")
      ->check(CLI::PositiveNumber);
  app.add_option("--max-running", flags.max_running, "requests that run at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--max-pass-tokens", flags.engine.max_pass_tokens, "new tokens of a pass; prompts are cut to fit")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--no-chunked-prefill", flags.no_chunked_prefill, "whole prompts in passes of their own");
  app.add_flag("--no-prefix-cache", flags.no_prefix_cache, "compute every prompt token");
  app.add_option("--router-cv", flags.engine.router_cv, "skew of the experts' popularity (coefficient of variation)")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  app.add_option("--ttft-s", flags.ttft, "no roofline: time to the first token, MEAN or MEAN:SIGMA (lognormal), in seconds");
  app.add_option("--tpot-s", flags.tpot, "with --ttft-s: time between tokens, MEAN or MEAN:SIGMA");
  app.add_flag("--null", flags.null_server, "no simulation: answer as fast as possible");
}

void AddServerFlags(CLI::App& app, MockFlags& flags) {
  mock::ServerOptions& server = flags.server;
  app.add_option("--host", server.host, "address to listen on")->capture_default_str();
  app.add_option("--port", server.port, "port; 0: any free one")->check(CLI::Range(0, 65535))->capture_default_str();
  app.add_option("--threads", server.threads, "replicas, each with a thread, an engine and a KV cache of its own")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--dialect", flags.dialect, "wire format: vllm, sglang, trtllm, llama-server, tgi, ollama")
      ->capture_default_str();
  app.add_option("--served-name", flags.served_name, "model name in answers (default: the model's id)");
  app.add_option("--max-context", flags.max_context, "tokens of prompt and output (default: the model's)")
      ->check(CLI::PositiveNumber);
  app.add_option("--output-tokens", flags.output_tokens,
                 "where outputs end by themselves: MEAN or MEAN:SIGMA (default: at the limit)");
  app.add_option("--answers", flags.answers, "JSON lines with prompt or id, and prediction: what is answered (docs/mock.md)");
  app.add_option("--reasoning-tokens", server.reasoning_tokens, "chat: so many of the first tokens are reasoning")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--routed-experts", server.routed_experts, "vllm, sglang: return routed experts");
  app.add_option("--tokens-per-chunk", server.tokens_per_chunk, "tokens of an event")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--coalesce", server.events_per_write, "events of a write")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--fault", flags.faults, "NAME[=VALUE][@PROBABILITY], several with commas or flags; names below");
  app.add_option("--stall-at-s", flags.stall_at_s, "the whole server stands still, so long after its first request")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--stall-for-s", flags.stall_for_s, "for so long")->check(CLI::Range(0.0, 3600.0))->capture_default_str();
  app.add_option("--api-key-env", flags.api_key_env, "environment variable with the key that requests must bear");
  app.add_option("--tls-cert", server.tls_certificate_file, "PEM file: serve HTTPS");
  app.add_option("--tls-key", server.tls_key_file, "PEM file of its key");
  app.add_option("--seed", flags.seed, "of routing, outputs, times and faults")->capture_default_str();
  app.add_option("--log", server.log_file, "JSON lines: each request with the true time of each token (docs/mock.md)");
  app.add_option("--passes", server.passes_file, "passes.jsonl of the simulated engine, for `moecap metrics`");
  app.add_option("--ready-file", flags.ready_file, "a file to write the URL to when listening");
  app.add_option("--spin-us", flags.spin_us, "poll instead of sleeping so long before a token is due")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

}  // namespace

Action AddMock(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<MockFlags>();
  AddEngineFlags(app, *flags);
  AddServerFlags(app, *flags);
  app.footer(
      "Prints the URL when it listens; SIGTERM or SIGINT end it.\nExamples:\n"
      "  moecap mock --model Qwen/Qwen3-30B-A3B --device h100-sxm --port 8000 --log mock.jsonl --passes passes.jsonl\n"
      "  moecap mock --ttft-s 0.2:0.3 --tpot-s 0.05 --dialect sglang --fault reset=5@0.01\n"
      "  moecap mock --null --answers predictions.jsonl --fault degrade=4\n"
      "Faults, also per request in the header x-mock-fault or the body's field mock_fault:\n" +
      mock::DescribeFaults());
  return [flags] { return Mock(*flags); };
}

}  // namespace moecap::app
