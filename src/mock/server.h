// The simulated server: HTTP in front of an engine of engine.h, on threads of its own.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mock/answer_stream.h"
#include "mock/dialect.h"
#include "mock/engine_model.h"
#include "mock/known_answers.h"
#include "mock/lateness.h"
#include "mock/timed_engine.h"

namespace moecap::mock {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;     // 0: any free one
  int threads = 1;  // replicas: each an event loop with an engine, KV memory and prefix cache of its own
  Dialect dialect = Dialect::kVllm;
  std::string model_name;  // as served; other names are refused where that server refuses them (vllm, ollama)
  model::ModelSpec model;
  std::optional<EngineModelOptions> simulated;  // the roofline engine
  TimedEngineOptions timed;                     // without it, drawn times
  bool null_server = false;                     // every token at once; equal requests get the same bytes

  std::optional<Spread> output_tokens;  // where a request would end by itself; null: never before its limit
  int64_t default_output_tokens = 128;  // of a request without a limit, when it never ends by itself
  int64_t reasoning_tokens = 0;         // chat: so many of the first tokens are reasoning
  bool routed_experts = false;          // vllm, sglang; needs the roofline engine
  // Prompts that it does not hold are refused with 404, and its answers end by themselves, whatever `output_tokens` and the
  // request's fields but its limit say; null: the mock's own words.
  std::shared_ptr<const KnownAnswers> known_answers;
  int64_t tokens_per_chunk = 1;
  int64_t events_per_write = 1;

  std::vector<Fault> faults;
  std::optional<double> stall_at_s;  // after the first request: the whole server stands still
  double stall_for_s = 0;
  std::string api_key;                             // empty: none is asked for
  std::string tls_certificate_file, tls_key_file;  // both empty: plain HTTP
  std::string log_file, passes_file;
  uint64_t seed = 1;
  int64_t spin_ns = 60'000;  // so long before a token is due the thread polls instead of sleeping
};

class Server {
 public:
  // Listens. Errors kBadInput: the address is in use or not ours, the model does not fit the device, files of TLS or log.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options);
  virtual ~Server() = default;  // stops

  virtual int port() const = 0;
  virtual std::string url() const = 0;
  // Ends all threads, drops all connections and completes the log. Idempotent.
  virtual void Stop() = 0;
  virtual Lateness lateness() const = 0;
};

}  // namespace moecap::mock
