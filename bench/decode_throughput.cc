// Decode throughput of our engine adapter, in the shape of llama-batched-bench: B requests of P prompt and G output tokens, no
// end token. Prints one JSON line; tools/bench_engine alternates it with llama-batched-bench and compares.
//
//   decode_throughput MODEL.gguf THREADS PROMPT_TOKENS OUTPUT_TOKENS BATCH
#include <fmt/format.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/rng.h"
#include "load/closed_loop.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap {
namespace {

constexpr size_t kWaves = 8;  // full batches one after the other

struct Shape {
  int threads, prompt_tokens, output_tokens, batch;
};

Result<std::string> Measure(const char* model_path, const Shape& shape) {
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const auto library, llamacpp::EngineLibrary::Load());
  ASSIGN_OR_RETURN(auto model, llamacpp::LoadedModel::Load(*library, model_path));
  llamacpp::EngineOptions options;
  options.threads = shape.threads;
  options.slots = shape.batch;
  options.context_tokens = shape.prompt_tokens + shape.output_tokens;
  ASSIGN_OR_RETURN(const auto system, llamacpp::LlamaCppSystem::Create(*library, std::move(model), options, clock));

  Rng rng(1);
  std::vector<load::RequestSpec> requests(static_cast<size_t>(shape.batch) * kWaves);
  for (load::RequestSpec& request : requests) {
    for (int i = 0; i < shape.prompt_tokens; ++i) request.prompt_token_ids.push_back(static_cast<int32_t>(rng.Below(200)));
    request.max_output_tokens = shape.output_tokens;
    request.ignore_end_token = true;
  }
  load::ClosedLoopOptions loop;
  loop.clients = shape.batch;
  ASSIGN_OR_RETURN(const load::LoadResult result, RunClosedLoop(*system, requests, loop, clock));

  // Decode time: from each decode pass to the next pass, scheduling, sampling and stamping included; prefill passes left out.
  double decode_s = 0, pass_s = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < result.passes.size(); ++i) {
    const auto& pass = result.passes[i];
    if (pass.kind != record::PassKind::kDecode) continue;
    tokens += pass.NewTokens();
    pass_s += pass.latency_s;
    decode_s += i + 1 < result.passes.size() ? result.passes[i + 1].start_s - pass.start_s : pass.latency_s;
  }
  if (tokens != static_cast<int64_t>(requests.size()) * (shape.output_tokens - 1))
    return Failed("wrong number of decoded tokens");
  return fmt::format(R"({{"batch":{},"tokens":{},"decode_tokens_per_s":{:.1f},"share_in_passes":{:.4f}}})", shape.batch, tokens,
                     static_cast<double>(tokens) / decode_s, pass_s / decode_s);
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: decode_throughput MODEL.gguf THREADS PROMPT_TOKENS OUTPUT_TOKENS BATCH\n");
    return 2;
  }
  const auto line = moecap::Measure(argv[1], {std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]), std::atoi(argv[5])});
  if (!line.ok()) {
    fmt::print(stderr, "decode_throughput: {}\n", line.error().message);
    return 1;
  }
  fmt::print("{}\n", *line);
  return 0;
}
