#include "app/planned_launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "planner/candidate.h"

namespace moecap::app {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A closed loop of 96 clients on eight devices in two ranks of data parallelism that step together, 48 requests each.
class PlannedLine : public testing::Test {
 protected:
  PlannedLine() {
    device_.id = "h200-sxm";
    device_.vendor = "NVIDIA";
    device_.memory_bytes = 100e9;
    plan_.model = "org/model";
    plan_.question.load.clients = 96;
    plan_.question.load.input_tokens = 1000;
    plan_.question.load.output_tokens = 24;
    planner::Candidate best;
    best.device = &device_;
    best.count = 8;
    best.deployment = {4, 8, 1, 2};
    best.serving.running = 96;
    best.serving.decoding = 80;
    best.serving.most_running = 400;
    best.room = 200;
    plan_.search.candidates = {best};
    plan_.best = 0;
    planner::Variant stored;
    stored.label = "as stored (bf16)";
    stored.spec.weight_type = "bf16";
    plan_.search.variants = {stored};
  }
  planner::Candidate& Best() { return plan_.search.candidates[0]; }
  std::string On(const std::string& system) {
    Best().system = system;
    return LaunchOf(plan_, checkpoint_);
  }
  // So spread, over all its devices.
  std::string On(const std::string& system, metrics::Deployment layout, int64_t nodes = 1) {
    Best().deployment = layout;
    Best().count = layout.Devices();
    Best().nodes = nodes;
    return On(system);
  }
  // In narrower weights than are stored.
  void Narrow(const std::string& type) {
    planner::Variant narrow = plan_.search.variants[0];
    narrow.label = narrow.spec.weight_type = type;
    narrow.original = false;
    plan_.search.variants.resize(1);
    plan_.search.variants.push_back(narrow);
    Best().variant = 1;
  }
  // One dense layer before eight with 64 experts each, of which so many are on the devices.
  void Offload(planner::Residence residence, double device_share) {
    for (planner::Variant& variant : plan_.search.variants) {
      variant.spec.layers.assign(9, {});
      for (size_t layer = 1; layer < 9; ++layer) variant.spec.layers[layer].ffn.experts = 64;
    }
    Best().offload.residence = residence;
    Best().offload.device_share = device_share;
  }

  hardware::Device device_;
  planner::Plan plan_;
  PlannedCheckpoint checkpoint_;
};

// Requests in prefill have a place, too.
TEST_F(PlannedLine, LetsAsManyRunAsThereAreClients) {
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 48 --max-model-len 2048 "));
  EXPECT_THAT(On("sglang"), HasSubstr("--max-running-requests 96 --context-length 2048 ")) << "of all ranks";
  EXPECT_THAT(On("trtllm", {1, 2, 1, 2}), HasSubstr("--max_batch_size 48 "));
  Best().deployment = {4, 8, 1, 2};
  EXPECT_THAT(On("vllm"), HasSubstr("\n# planned: tensor 4, expert 8, pipeline 1, data 2"));
}

TEST_F(PlannedLine, ALimitOfTheQuestionStandsInTheLine) {
  Best().running_limit = 10;
  Best().serving.most_running = 20;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 10 "));
  EXPECT_THAT(On("sglang"), HasSubstr("--max-running-requests 20 "));
}

// 48 in a replica on average: 48 + 3 x 6.93 = 68.8 in all but 2 of 1,000 moments; no more than memory holds.
TEST_F(PlannedLine, ArrivalsByChanceComeInNumbers) {
  plan_.question.load.clients.reset();
  plan_.question.load.requests_per_s = 2;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 69 "));
  Best().room = 60;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 60 "));
}

TEST_F(PlannedLine, MoreOfAHybridModelThanSglangHasStatesFor) {
  Best().state_ratio = 2.44;
  Best().default_running = 48;
  EXPECT_THAT(On("sglang"), Not(HasSubstr("radix"))) << "as many as planned";
  Best().default_running = 40;
  EXPECT_THAT(On("sglang"), HasSubstr(" --disable-radix-cache\n"));
  EXPECT_THAT(On("vllm"), Not(HasSubstr("radix")));
  plan_.question.load.prefix_hit = 0.5;
  EXPECT_THAT(On("sglang"), HasSubstr(" --mamba-full-memory-ratio 2.44\n")) << "hits need the cache of prefixes";
  EXPECT_THAT(On("sglang"), Not(HasSubstr("radix")));
  Best().state_ratio = 0;
  EXPECT_THAT(On("sglang"), Not(HasSubstr("mamba"))) << "states are not what limits";
}

// Two replicas of four devices that step together, whole.
TEST_F(PlannedLine, IsTheLayoutInFlags) {
  EXPECT_EQ(On("vllm"),
            "VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 vllm serve org/model --host 127.0.0.1 --port 8000 "
            "--tensor-parallel-size 4 --data-parallel-size 2 --enable-expert-parallel --max-num-seqs 48 --max-model-len 2048 "
            "--enable-prompt-tokens-details --enable-logging-iteration-details\n"
            "# planned: tensor 4, expert 8, pipeline 1, data 2");
  EXPECT_EQ(On("sglang"),
            "python -m sglang.launch_server --model-path org/model --host 127.0.0.1 --port 8000 --max-running-requests 96 "
            "--context-length 2048 --stream-interval 1 --enable-metrics --enable-cache-report --tp-size 8 --attn-dp-size 2 "
            "--ep-size 8\n"
            "# planned: tensor 4, expert 8, pipeline 1, data 2");
  EXPECT_EQ(On("trtllm", {1, 2, 1, 2}),
            "cat > trtllm.yaml <<'END'\n"
            "enable_iter_perf_stats: true\nreturn_perf_metrics: true\nperf_metrics_max_requests: 10000\nstream_interval: 1\n"
            "kv_cache_config: {enable_block_reuse: false}\nenable_attention_dp: true\nEND\n"
            "trtllm-serve org/model --host 127.0.0.1 --port 8000 --tp_size 2 --ep_size 2 --pp_size 1 --max_batch_size 48 "
            "--max_seq_len 2048 --config trtllm.yaml\n"
            "# planned: tensor 1, expert 2, pipeline 1, data 2");
}

TEST_F(PlannedLine, SpreadsNoExpertsThatAreNotPlannedSo) {
  EXPECT_THAT(On("vllm", {4, 1, 2, 1}), AllOf(HasSubstr(" --tensor-parallel-size 4 --pipeline-parallel-size 2 --max-num-seqs "),
                                              Not(HasSubstr("expert-parallel")), Not(HasSubstr("data-parallel"))));
  EXPECT_THAT(On("sglang"), AllOf(HasSubstr(" --tp-size 4 --pp-size 2\n"), Not(HasSubstr("--ep-size"))));
  EXPECT_THAT(On("trtllm"), AllOf(HasSubstr(" --tp_size 4 --ep_size 1 --pp_size 2 "), Not(HasSubstr("enable_attention_dp"))));
  EXPECT_THAT(On("sglang", {4, 4, 1, 1}), HasSubstr(" --tp-size 4 --ep-size 4\n"));
  EXPECT_THAT(On("vllm", {1, 1, 1, 1}), HasSubstr("--port 8000 --max-num-seqs "));
}

// Four replicas of two devices that do not step together, and two groups of replicas that do.
TEST_F(PlannedLine, SaysHowManyOfItThePlanTakes) {
  for (const char* system : {"vllm", "sglang", "trtllm"}) {
    const std::string line = On(system, {2, 2, 1, 4});
    EXPECT_THAT(line, EndsWith("\n# starts 1 of 4 replicas: it takes 4 such lines, each with 2 devices and a port of its own"));
    EXPECT_THAT(line, AllOf(Not(HasSubstr("--data-parallel")), Not(HasSubstr("dp-size")), Not(HasSubstr("attention_dp"))));
  }
  EXPECT_THAT(
      On("vllm", {1, 4, 1, 8}),
      AllOf(
          HasSubstr(" --data-parallel-size 4 --enable-expert-parallel "),
          EndsWith("# starts 1 of 2 groups of 4 replicas: it takes 2 such lines, each with 4 devices and a port of its own")));
  EXPECT_THAT(On("llama-server", {1, 1, 1, 2}), HasSubstr("each with a device and a port of its own"));
}

// Of whatever layout: the devices that the flags of a line take, times the lines, are the plan's.
TEST_F(PlannedLine, TakesThePlansDevices) {
  const auto size = [](const std::string& line, const std::string& before) -> int64_t {
    const size_t at = line.find(before + " ");
    return at == std::string::npos ? 1 : std::stoll(line.substr(at + before.size() + 1));
  };
  const model::ModelSpec moe = [] {
    model::ModelSpec spec;
    spec.layers.resize(16);
    for (model::LayerSpec& layer : spec.layers) layer.ffn.experts = 128;
    return spec;
  }();
  hardware::Device linked = device_;
  linked.device_class = "datacenter";
  linked.scale_up_link = "nvlink";
  int layouts = 0;
  for (const int64_t count : {1, 2, 8, 32}) {
    for (const hardware::Device& device : {device_, linked}) {
      for (const metrics::Deployment& layout : planner::DeploymentsOf(device, count, moe)) {
        ++layouts;
        const std::string vllm = On("vllm", layout), sglang = On("sglang", layout), trtllm = On("trtllm", layout);
        const int64_t of_vllm =
            size(vllm, "--tensor-parallel-size") * size(vllm, "--pipeline-parallel-size") * size(vllm, "--data-parallel-size");
        EXPECT_EQ(of_vllm * size(vllm, "it takes"), count) << vllm;
        EXPECT_EQ(size(sglang, "--tp-size") * size(sglang, "--pp-size") * size(sglang, "it takes"), count) << sglang;
        EXPECT_EQ(size(trtllm, "--tp_size") * size(trtllm, "--pp_size") * size(trtllm, "it takes"), count) << trtllm;
        EXPECT_EQ(size(sglang, "--tp-size") % size(sglang, "--attn-dp-size"), 0) << sglang;
        EXPECT_LE(size(trtllm, "--ep_size"), size(trtllm, "--tp_size")) << trtllm;
      }
    }
  }
  EXPECT_GT(layouts, 40);
}

TEST_F(PlannedLine, SaysWhatItTakesOnSeveralNodes) {
  EXPECT_THAT(On("vllm", {8, 16, 1, 2}, 2),
              EndsWith("\n# it takes 2 nodes: the same line on each, with --nnodes 2 --node-rank R --master-addr ADDRESS, "
                       "and --headless on all but the first"));
  EXPECT_THAT(On("sglang"), EndsWith("with --nnodes 2 --node-rank R --dist-init-addr ADDRESS:PORT"));
  EXPECT_THAT(On("trtllm", {16, 16, 1, 1}, 2),
              EndsWith("\n# it takes 2 nodes: trtllm-llmapi-launch before the command, as 16 MPI ranks (srun or mpirun)"));
  EXPECT_THAT(On("vllm", {8, 8, 1, 2}, 2), Not(HasSubstr("nnodes"))) << "each replica is on one";
}

// Data-parallel attention of TensorRT-LLM is over all ranks of its tensor parallelism.
TEST_F(PlannedLine, SpreadsAttentionOfTensorRtLlmOverAllRanks) {
  EXPECT_THAT(On("trtllm", {1, 8, 1, 8}, 1), AllOf(HasSubstr("enable_attention_dp: true\n"),
                                                   HasSubstr(" --tp_size 8 --ep_size 8 --pp_size 1 --max_batch_size ")));
}

TEST_F(PlannedLine, QuantisesWhatTheServerCan) {
  Narrow("fp8");
  EXPECT_THAT(On("vllm"), AllOf(HasSubstr(" serve org/model "), HasSubstr(" --quantization fp8\n"), Not(HasSubstr("needs"))));
  EXPECT_THAT(On("sglang"), AllOf(HasSubstr(" --model-path org/model "), HasSubstr(" --quantization fp8\n")));
  EXPECT_THAT(On("trtllm"),
              AllOf(HasSubstr("trtllm-serve MODEL-fp8 "),
                    HasSubstr("\n# needs org/model as a checkpoint in fp8 (NVIDIA ModelOpt writes one): MODEL-fp8 "
                              "stands for it")));
  device_.vendor = "Intel";
  EXPECT_THAT(On("vllm"), AllOf(HasSubstr(" serve MODEL-fp8 "), Not(HasSubstr("--quantization"))));
}

TEST_F(PlannedLine, NamesACheckpointThatMustBeMade) {
  for (const char* type : {"nvfp4", "int4"}) {
    Narrow(type);
    const std::string place = std::string("MODEL-") + type;
    for (const char* system : {"vllm", "sglang"}) {
      EXPECT_THAT(On(system), AllOf(HasSubstr(" " + place + " --host"), Not(HasSubstr("--quantization")),
                                    EndsWith("\n# needs org/model as a checkpoint in " + std::string(type) + ": " + place +
                                             " stands for it")));
    }
  }
  Narrow("q8_0");
  EXPECT_THAT(On("llama-server"),
              AllOf(StartsWith("llama-server -m MODEL-q8_0.gguf "),
                    HasSubstr("\n# needs org/model as a GGUF file in q8_0: MODEL-q8_0.gguf stands for it")));
  Best().variant = 0;
  EXPECT_THAT(On("llama-server"), StartsWith("llama-server -m MODEL-bf16.gguf ")) << "a repository's name is no file";
  checkpoint_.path = "my models/a.gguf";
  EXPECT_THAT(On("vllm"), HasSubstr(" serve MODEL-bf16 ")) << "a file that others serve";
  EXPECT_THAT(On("llama-server"), AllOf(StartsWith("llama-server -m 'my models/a.gguf' "), Not(HasSubstr("needs"))));
}

// `--precision nvfp4`: the plan's only variant, and not what the checkpoint stores. `--precision fp8` of bf16 is made on
// loading.
TEST_F(PlannedLine, KnowsWhatIsStoredFromWhatIsServed) {
  plan_.search.variants[0].spec.weight_type = "nvfp4";
  EXPECT_THAT(On("vllm"), HasSubstr(" serve org/model ")) << "as stored";
  checkpoint_.weight_type = "bf16";
  EXPECT_THAT(On("vllm"), HasSubstr(" serve MODEL-nvfp4 "));
  plan_.search.variants[0].spec.weight_type = "F16";
  EXPECT_THAT(On("vllm"), HasSubstr(" serve org/model ")) << "16 bits are 16 bits";
  plan_.search.variants[0].spec.weight_type = "fp8";
  EXPECT_THAT(On("vllm"), AllOf(HasSubstr(" serve org/model "), HasSubstr(" --quantization fp8\n")));
  checkpoint_.weight_type = "nvfp4";
  EXPECT_THAT(On("vllm"), HasSubstr(" serve MODEL-fp8 ")) << "no weights are made wider";
}

TEST_F(PlannedLine, KeepsPrefixesWhereHitsArePlanned) {
  EXPECT_THAT(On("trtllm"), HasSubstr("{enable_block_reuse: false}"));
  EXPECT_THAT(On("vllm"), Not(HasSubstr("prefix-caching")));
  plan_.question.load.prefix_hit = 0.5;
  EXPECT_THAT(On("trtllm"), HasSubstr("{enable_block_reuse: true}"));
  EXPECT_THAT(On("vllm"), HasSubstr(" --enable-prefix-caching\n"));
  EXPECT_THAT(On("sglang"), Not(HasSubstr("radix"))) << "by itself";
}

TEST_F(PlannedLine, IsTheTypeOfTheCache) {
  model::ModelSpec& spec = plan_.search.variants[0].spec;
  spec.kv_type = "bf16";
  checkpoint_.kv_type = "F16";
  EXPECT_THAT(On("vllm"), Not(HasSubstr("kv-cache-dtype"))) << "16 bits are 16 bits";
  spec.kv_type = "fp8";
  EXPECT_THAT(On("vllm"), HasSubstr(" --kv-cache-dtype fp8\n"));
  EXPECT_THAT(On("sglang"), HasSubstr(" --kv-cache-dtype fp8_e4m3\n"));
  EXPECT_THAT(On("trtllm"), HasSubstr("{enable_block_reuse: false, dtype: fp8}"));
  EXPECT_THAT(On("llama-server"), HasSubstr("\n# planned with a KV cache in fp8, for which llama-server has no setting"));
  spec.kv_type = "q8_0";
  EXPECT_THAT(On("llama-server"), HasSubstr(" -ctk q8_0 -ctv q8_0\n"));
  EXPECT_THAT(On("vllm"), HasSubstr("\n# planned with a KV cache in q8_0, for which vllm has no setting"));
  checkpoint_.kv_type = "fp8";
  spec.kv_type = "f16";
  EXPECT_THAT(On("vllm"), HasSubstr(" --kv-cache-dtype bfloat16\n")) << "wider than the checkpoint asks for";
  checkpoint_.kv_type = "";
  EXPECT_THAT(On("vllm"), Not(HasSubstr("kv-cache-dtype"))) << "as stored";
}

// 0.3 of 64 experts in each layer; 0.3 of eight layers leaves 5.6, so 6, and the dense layer before them is counted.
TEST_F(PlannedLine, KeepsExpertsWhereThePlanPutsThem) {
  Offload(planner::Residence::kExecute, 0.3);
  EXPECT_THAT(On("ktransformers", {2, 1, 1, 1}),
              AllOf(HasSubstr(" --tp-size 2 --kt-method BF16 --kt-weight-path WEIGHTS --kt-cpuinfer \"$(nproc)\" "
                              "--kt-num-gpu-experts 19 "),
                    EndsWith("\n# WEIGHTS: the folder of the checkpoint in bf16")));
  EXPECT_THAT(On("llama-server", {1, 1, 1, 1}), AllOf(HasSubstr(" -ngl 99 --metrics --n-cpu-moe 7\n"), Not(HasSubstr("-ts"))));
  EXPECT_THAT(On("llama-server", {1, 1, 2, 1}), HasSubstr(" --n-cpu-moe 7 -ts 8,2\n"))
      << "a layer with experts each, and the head";
  Best().offload.device_share = 0.75;
  EXPECT_THAT(On("llama-server"), HasSubstr(" --n-cpu-moe 3 -ts 6,4\n")) << "two of eight, exactly";
  Best().offload.residence = planner::Residence::kSsd;
  EXPECT_THAT(On("llama-server"), HasSubstr("the file stays mapped"));
}

TEST_F(PlannedLine, KTransformersComputesInThePlannedType) {
  Offload(planner::Residence::kExecute, 0.3);
  Best().deployment = {1, 1, 1, 1};
  Narrow("fp8");
  EXPECT_THAT(On("ktransformers"),
              AllOf(HasSubstr("--model-path MODEL-fp8 "), HasSubstr("--kt-method FP8 "), Not(HasSubstr("--quantization"))));
  Narrow("int4");
  EXPECT_THAT(On("ktransformers"), HasSubstr("--kt-method RAWINT4 "));
  Narrow("q8_0");
  EXPECT_THAT(On("ktransformers"), AllOf(HasSubstr("--model-path org/model "), HasSubstr("--kt-method LLAMAFILE "),
                                         HasSubstr("\n# WEIGHTS: a folder with the model as GGUF in q8_0, for the processor")));
}

// 60 GB of experts beside others on a device of 100 GB.
TEST_F(PlannedLine, MoeInfinityCachesTheExpertsThatAreOnTheDevice) {
  Best().memory.routed_bytes = 60e9;
  Offload(planner::Residence::kCopy, 0.4);
  EXPECT_EQ(On("moe-infinity", {1, 1, 1, 1}),
            "python -m moe_infinity.entrypoints.openai.api_server --model org/model --offload-dir \"$PWD/offload\" "
            "--device-memory-ratio 0.6 --port 8000\n"
            "# planned: tensor 1, expert 1, pipeline 1, data 1");
}

// Room for requests of twice the mean, as far as model and memory go; slots of llama.cpp are allocated.
TEST_F(PlannedLine, LeavesRoomForLongRequests) {
  EXPECT_THAT(On("vllm"), HasSubstr("--max-model-len 2048 "));
  plan_.search.variants[0].spec.max_context = 1500;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-model-len 1500 "));
  EXPECT_THAT(On("sglang"), HasSubstr("--context-length 1500 "));
  EXPECT_THAT(On("trtllm"), HasSubstr("--max_seq_len 1500 "));
  plan_.search.variants[0].spec.max_context.reset();
  Best().room = 1.25;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-model-len 1265 ")) << "1.25 x the 1012 tokens of a request half-way";
  Best().room = 200;
  EXPECT_THAT(
      On("llama-server", {1, 1, 1, 1}),
      AllOf(HasSubstr(" -np 96 -c 98304 "), HasSubstr("\n# a slot holds 1024 tokens, the mean of a request: for longer ones "
                                                      "raise -c (96 slots x tokens)")));
}

TEST_F(PlannedLine, SaysThatDraftsAreToBeConfigured) {
  plan_.question.load.drafted_tokens = 3;
  EXPECT_THAT(On("vllm"), EndsWith("\n# drafts of 3 tokens are planned and not configured here: --speculative-config"));
  EXPECT_THAT(On("sglang"), HasSubstr("drafts of 3 tokens"));
  EXPECT_THAT(On("trtllm"), HasSubstr("drafts of 3 tokens"));
  EXPECT_THAT(On("llama-server"), HasSubstr("drafts of 3 tokens"));
}

TEST_F(PlannedLine, NothingPlannedStartsNothing) {
  EXPECT_EQ(On("lmdeploy"), "") << "a system that no plan names";
  plan_.best.reset();
  EXPECT_EQ(LaunchOf(plan_), "");
}

}  // namespace
}  // namespace moecap::app
