#include "app/launch_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/words.h"

namespace moecap::app {
namespace {

using Make = Result<LaunchLine> (*)(const LaunchOptions& options);

struct Row {
  LaunchSystem system;
  Make make;
};

std::string Folder(const LaunchOptions& o) { return o.folder.empty() ? "\"$PWD\"" : ShellWord(o.folder); }

// `spread`: for {0} GPUs, where there are several.
std::string LayoutOf(const LaunchOptions& o, fmt::format_string<const int&> spread) {
  if (!o.layout.empty()) return " " + o.layout;
  return o.gpus > 1 ? fmt::format(spread, o.gpus) : "";
}

Error NoExperts(std::string_view system, std::string_view instead) {
  return BadInput(fmt::format("{} records no experts{}; leave --experts out", system, instead));
}

Result<LaunchLine> Vllm(const LaunchOptions& o) {
  LaunchLine line;
  line.command = fmt::format("VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 {}vllm serve {} --host 127.0.0.1 --port {}",
                             o.gpus == 0 ? "VLLM_CPU_KVCACHE_SPACE=4 " : "", ShellWord(o.model), o.port);
  line.command += LayoutOf(o, " --tensor-parallel-size {0} --enable-expert-parallel");
  line.command +=
      fmt::format(" --max-num-seqs {} --max-model-len {} --enable-prompt-tokens-details --enable-logging-iteration-details",
                  o.batch, o.context);
  if (o.experts) line.command += " --enable-return-routed-experts";
  return line;
}

std::string SglangCommon(const LaunchOptions& o) {
  std::string common = fmt::format(
      "python -m sglang.launch_server --model-path {} --host 127.0.0.1 --port {} --max-running-requests {} --context-length {} "
      "--stream-interval 1 --enable-metrics --enable-cache-report",
      ShellWord(o.model), o.port, o.batch, o.context);
  common += LayoutOf(o, " --tp {0} --ep-size {0}");
  if (o.experts) {
    common +=
        " --enable-return-routed-experts --expert-distribution-recorder-mode per_pass "
        "--expert-distribution-recorder-buffer-size -1 --enable-forward-pass-metrics";
  }
  return common;
}

std::string RecorderFolder(const LaunchOptions& o) {
  return o.experts ? fmt::format("SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR={} ", Folder(o)) : "";
}

Result<LaunchLine> Sglang(const LaunchOptions& o) {
  const std::string recorder = RecorderFolder(o);
  if (o.gpus == 0) return LaunchLine{recorder + "SGLANG_USE_CPU_ENGINE=1 " + SglangCommon(o) + " --device cpu", "", ""};
  return LaunchLine{recorder + SglangCommon(o), "", ""};
}

Result<LaunchLine> KTransformers(const LaunchOptions& o) {
  if (o.gpus == 0) return BadInput("ktransformers needs a GPU for what is no expert; give --gpus 1 or more");
  const std::string recorder = RecorderFolder(o);
  return LaunchLine{recorder + SglangCommon(o) +
                        fmt::format(" --kt-method {} --kt-weight-path WEIGHTS --kt-cpuinfer {} --kt-num-gpu-experts {} "
                                    "--kt-max-deferred-experts-per-token 0",
                                    o.kt_method, o.cpus == 0 ? "\"$(nproc)\"" : std::to_string(o.cpus), o.gpu_experts),
                    "", ""};
}

Result<LaunchLine> LlamaServer(const LaunchOptions& o) {
  if (o.experts) return NoExperts("llama-server", "; the same file as an embedded system (`model:`) has them");
  return LaunchLine{fmt::format("llama-server -m {} --host 127.0.0.1 --port {} -np {} -c {} -ngl {} --metrics",
                                ShellWord(o.model), o.port, o.batch, int64_t{o.batch} * o.context, o.gpus == 0 ? 0 : 99),
                    "", ""};
}

Result<LaunchLine> Transformers(const LaunchOptions& o) {
  if (o.experts) return NoExperts("transformers serve", " by itself: it takes a launcher that hooks its routers");
  std::string command = fmt::format("transformers serve {} --host 127.0.0.1 --port {} --device {}", ShellWord(o.model), o.port,
                                    o.gpus == 0 ? "cpu" : "cuda");
  // Its pages of 32 tokens hold every context.
  if (o.batch > 1) {
    command += fmt::format(" --continuous-batching --cb-block-size 32 --cb-num-blocks {} --cb-max-batch-tokens {}",
                           (int64_t{o.batch} * o.context + 31) / 32, std::max(512, o.batch));
  }
  return LaunchLine{command, "", ""};
}

Result<LaunchLine> TensorRtLlm(const LaunchOptions& o) {
  if (o.gpus == 0) return BadInput("trtllm needs a GPU; give --gpus 1 or more");
  LaunchLine line;
  line.file_name = "trtllm.yaml";
  line.file_text = fmt::format(
      "enable_iter_perf_stats: true\nreturn_perf_metrics: true\nperf_metrics_max_requests: 10000\nstream_interval: 1\n"
      "kv_cache_config: {{enable_block_reuse: {}{}}}\n",
      o.reuse_prefixes, o.kv_type.empty() ? "" : ", dtype: " + o.kv_type);
  line.command =
      fmt::format("{}trtllm-serve {} --host 127.0.0.1 --port {} {} --max_batch_size {} --max_seq_len {} --config {}",
                  o.experts ? fmt::format("EXPERT_STATISTIC_ITER_RANGE=0-1000 EXPERT_STATISTIC_PATH={} ", Folder(o)) : "",
                  ShellWord(o.model), o.port, o.layout.empty() ? fmt::format("--tp_size {0} --ep_size {0}", o.gpus) : o.layout,
                  o.batch, o.context, o.folder.empty() ? line.file_name : ShellWord(o.folder + "/" + line.file_name));
  return line;
}

Result<LaunchLine> MoeInfinity(const LaunchOptions& o) {
  if (o.experts) return NoExperts("moe-infinity", " over HTTP");
  if (o.gpus == 0) return BadInput("moe-infinity needs a GPU; give --gpus 1");
  return LaunchLine{
      fmt::format("python -m moe_infinity.entrypoints.openai.api_server --model {} --offload-dir {} --device-memory-ratio {} "
                  "--port {}",
                  ShellWord(o.model), o.offload_folder.empty() ? "\"$PWD/offload\"" : ShellWord(o.offload_folder),
                  o.device_memory_ratio, o.port),
      "", ""};
}

Result<LaunchLine> Ollama(const LaunchOptions& o) {
  if (o.experts) return NoExperts("ollama", "; its model file as an embedded system (`model:`) has them");
  return LaunchLine{fmt::format("OLLAMA_HOST=127.0.0.1:{} OLLAMA_NUM_PARALLEL={} OLLAMA_CONTEXT_LENGTH={} "
                                "LLAMA_ARG_ENDPOINT_METRICS=1 ollama serve",
                                o.port, o.batch, o.context),
                    "", ""};
}

Result<LaunchLine> Tgi(const LaunchOptions& o) {
  if (o.experts) return NoExperts("tgi", "");
  return LaunchLine{fmt::format("text-generation-launcher --model-id {} --hostname 127.0.0.1 --port {} --num-shard {} "
                                "--max-concurrent-requests {} --max-total-tokens {}",
                                ShellWord(o.model), o.port, std::max(1, o.gpus), o.batch, o.context),
                    "", ""};
}

Result<LaunchLine> Lmdeploy(const LaunchOptions& o) {
  if (o.gpus == 0) return BadInput("lmdeploy does not run on a processor; give --gpus 1 or more");
  return LaunchLine{
      fmt::format("lmdeploy serve api_server {} --backend pytorch --server-name 127.0.0.1 --server-port {} --tp {} "
                  "--max-batch-size {} --session-len {}{}",
                  ShellWord(o.model), o.port, o.gpus, o.batch, o.context,
                  o.experts ? " --enable-return-routed-experts --distributed-executor-backend mp" : ""),
      "", ""};
}

Result<LaunchLine> Fastllm(const LaunchOptions& o) {
  if (o.experts) return NoExperts("fastllm", "");
  const char* device = o.gpus == 0 ? "cpu" : "cuda";
  return LaunchLine{fmt::format("ftllm server {} --host 127.0.0.1 --port {} --device {} --moe_device {} --max_batch {}",
                                ShellWord(o.model), o.port, device, device, o.batch),
                    "", ""};
}

Result<LaunchLine> LlamaCppPython(const LaunchOptions& o) {
  if (o.experts) return NoExperts("llama-cpp-python", "; the same file as an embedded system (`model:`) has them");
  return LaunchLine{fmt::format("python -m llama_cpp.server --model {} --host 127.0.0.1 --port {} --n_ctx {} --n_gpu_layers {} "
                                "--interrupt_requests false",
                                ShellWord(o.model), o.port, o.context, o.gpus == 0 ? 0 : -1),
                    "", ""};
}

constexpr std::array kRows{
    Row{{"vllm", "vLLM", "0.30 on a processor, 0.26 on one H200", "/ping", ""}, Vllm},
    Row{{"sglang", "SGLang", "0.5.23 on a processor", "/ready",
         "Do not poll /health while experts are recorded: it generates a token. More than 8 experts a token: not with the mode "
         "per_token."},
        Sglang},
    Row{{"llama-server", "llama-server", "v0.5.0 on a processor", "/health", ""}, LlamaServer},
    Row{{"transformers", "transformers", "5.24 on a processor", "/health",
         "Without continuous batching it serves one request after the other; with it, all requests sample as its first one "
         "did: "
         "restart it before a benchmark."},
        Transformers},
    Row{{"trtllm", "TensorRT-LLM", "", "/health", ""}, TensorRtLlm},
    Row{{"ktransformers", "SGLang", "", "/ready",
         "WEIGHTS are the experts' for the processor, converted by kt-kernel; its own release of SGLang (sglang-kt) is "
         "needed."},
        KTransformers},
    Row{{"moe-infinity", "unknown", "", "/health",
         "One request at a time, whole answers only: give server.stream: false, kind: unknown and the model's name."},
        MoeInfinity},
    Row{{"ollama", "Ollama", "", "/api/version", "Then pull the model, and give its name as server.model."}, Ollama},
    Row{{"tgi", "TGI", "", "/health", ""}, Tgi},
    Row{{"lmdeploy", "unknown", "", "/health", ""}, Lmdeploy},
    Row{{"fastllm", "fastllm", "1.9.0 on a processor", "/v1/models", "Its warm-up takes minutes. Chat only."}, Fastllm},
    Row{{"llama-cpp-python", "llama-cpp-python", "0.3.36 on a processor", "/v1/models",
         "One request at a time. Without --interrupt_requests false each new request ends the running one."},
        LlamaCppPython},
};

Result<const Row*> FindRow(const std::string& name) {
  std::string choices;
  for (const Row& row : kRows) {
    if (row.system.name == name) return &row;
    choices += fmt::format("{}{}", choices.empty() ? "" : ", ", row.system.name);
  }
  return BadInput(fmt::format("unknown system \"{}\"; known: {}", name, choices));
}

}  // namespace

std::span<const LaunchSystem> LaunchSystems() {
  static const auto systems = [] {
    std::array<LaunchSystem, kRows.size()> all;
    std::ranges::transform(kRows, all.begin(), &Row::system);
    return all;
  }();
  return systems;
}

Result<const LaunchSystem*> FindLaunchSystem(const std::string& name) {
  ASSIGN_OR_RETURN(const Row* const row, FindRow(name));
  return &row->system;
}

Result<LaunchLine> LaunchLineOf(const std::string& name, const LaunchOptions& options) {
  ASSIGN_OR_RETURN(const Row* const row, FindRow(name));
  return row->make(options);
}

}  // namespace moecap::app
