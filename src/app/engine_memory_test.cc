// Predicted memory against the engine's own account, on full-size shapes: the engine is asked to lay everything out without
// allocating it, and a file with nothing but a header is enough.
#include "metrics/engine_memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <llama.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>

#include "model/open_model.h"
#include "model/weight_format.h"
#include "synth/synthesize.h"
#include "system/llamacpp/engine_library.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

using metrics::EngineMemory;
using metrics::EngineMemoryDemand;

// The engine tells sizes in its log alone; it keeps one callback a process.
std::string engine_log;

double SumOfLog(const std::string& pattern) {
  constexpr double kMib = 1024.0 * 1024;
  const std::regex line(pattern);
  double sum = 0;
  for (auto at = std::sregex_iterator(engine_log.begin(), engine_log.end(), line); at != std::sregex_iterator(); ++at)
    sum += std::stod((*at)[1]) * kMib;
  return sum;
}

class EngineMemoryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    library_ = *llamacpp::EngineLibrary::Load();
    llama_log_set([](ggml_log_level, const char* text, void*) { engine_log += text; }, nullptr);
  }
  static void TearDownTestSuite() { library_.reset(); }

  void TearDown() override { fs::remove(file_); }

  // A sparse file: the header, and room for tensors that nobody reads.
  void WriteHeader(const synth::SynthPlan& plan) const {
    std::ofstream(file_, std::ios::binary) << plan.parts[0].Header();
    fs::resize_file(file_, plan.file_bytes);
  }

  // What the engine lays out; `allocates`: it really takes it.
  EngineMemory Ask(const EngineMemoryDemand& demand, bool allocates) const {
    engine_log.clear();
    llama_model_params model_params = llama_model_default_params();
    model_params.no_alloc = !allocates;
    model_params.load_mode = LLAMA_LOAD_MODE_NONE;
    model_params.use_extra_bufts = false;  // repacked copies of the weights
    const llamacpp::ModelPtr model(llama_model_load_from_file(file_.c_str(), model_params));
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(demand.context_tokens * demand.slots);
    params.n_batch = params.n_ubatch = static_cast<uint32_t>(demand.pass_tokens);
    params.n_seq_max = static_cast<uint32_t>(demand.slots);
    params.kv_unified = false;
    params.swa_full = demand.full_windows;
    const llamacpp::ContextPtr context(model ? llama_init_from_model(model.get(), params) : nullptr);
    EXPECT_TRUE(context) << engine_log;
    EngineMemory memory;
    if (!context) return memory;
    memory.weights = static_cast<double>(llama_model_size(model.get()));
    memory.kv_cache = SumOfLog("size = +([0-9.]+) MiB \\( *[0-9]+ cells");
    memory.compute = SumOfLog("compute buffer size = +([0-9.]+) MiB");
    memory.outputs = SumOfLog("output buffer size = +([0-9.]+) MiB");
    return memory;
  }

  static inline std::unique_ptr<llamacpp::EngineLibrary> library_;
  const fs::path file_ = fs::temp_directory_path() / fmt::format("moecap-memory-{}.gguf", ::getpid());
};

struct Shape {
  const char* id;
  EngineMemoryDemand demand;
};

double Difference(double predicted, double told) { return 100 * (predicted / told - 1); }

// From the published configuration alone, as the planner has it before there is a file.
model::ModelSpec FromConfig(const char* id, const std::string& type) {
  model::ModelSpec spec = *model::OpenModel(id);
  model::ApplyWeightChoice(spec, *model::WeightChoiceByName("q8_0"));
  if (type == "MXFP4") model::SetWeightPrecision(spec, model::TensorClass::kRoutedExpert, "mxfp4", 4.25);
  return spec;
}

TEST_F(EngineMemoryTest, IsWithinThreePercentOfWhatTheEngineTells) {
  const Shape shapes[] = {
      {"mistralai/Mixtral-8x7B-Instruct-v0.1", {4, 4096, 512}},
      {"Qwen/Qwen3-30B-A3B", {4, 4096, 512}},
      {"deepseek-ai/DeepSeek-V2-Lite", {4, 4096, 512}},
      {"deepseek-ai/DeepSeek-V3", {8, 16384, 2048}},
      {"openai/gpt-oss-20b", {4, 8192, 512}},
      {"openai/gpt-oss-120b", {1, 131072, 2048, true}},
      {"allenai/OLMoE-1B-7B-0924", {16, 4000, 512}},
      {"zai-org/GLM-4.5-Air", {1, 32768, 512}},
      {"MiniMaxAI/MiniMax-M2.5", {16, 8192, 2048}},
  };
  fmt::print("{:<38} {:>5} {:>7} {:>6} {:>11} {:>9} {:>9} {:>9} {:>9}\n", "model", "slots", "context", "pass", "engine, MiB",
             "weights %", "KV %", "compute %", "all %");
  for (const Shape& shape : shapes) {
    const auto source = synth::OpenSource(shape.id);
    ASSERT_TRUE(source.ok()) << source.error().message;
    const auto plan = synth::PlanModel(*source, {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    WriteHeader(*plan);
    const EngineMemory told = Ask(shape.demand, false);
    const EngineMemory predicted = MemoryOfEngine(FromConfig(shape.id, plan->type), shape.demand);
    fmt::print("{:<38} {:>5} {:>7} {:>6} {:>11.0f} {:>+9.2f} {:>+9.2f} {:>+9.1f} {:>+9.2f}\n", shape.id, shape.demand.slots,
               shape.demand.context_tokens, shape.demand.pass_tokens, told.Total() / 1024 / 1024,
               Difference(predicted.weights, told.weights), Difference(predicted.kv_cache, told.kv_cache),
               Difference(predicted.compute, told.compute), Difference(predicted.Total(), told.Total()));
    EXPECT_NEAR(predicted.Total() / told.Total(), 1, 0.03) << shape.id;
    EXPECT_NEAR(predicted.weights / told.weights, 1, 0.01) << shape.id;
    EXPECT_NEAR(predicted.kv_cache / told.kv_cache, 1, 0.001) << shape.id;
    EXPECT_NEAR(predicted.compute / told.compute, 1, 0.25) << shape.id;  // what is live at once depends on the graph
    // The file's own tensor table leaves nothing to guess.
    EXPECT_NEAR(model::OpenModel(file_)->WeightBytes() / told.weights, 1, 1e-6) << shape.id;
  }
}

// The account without allocation is the one with it, for a model that is small enough to be had.
TEST_F(EngineMemoryTest, TheEngineAllocatesWhatItTold) {
  const char* config = R"({"model_type": "qwen3_moe", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 64, "moe_intermediate_size": 256, "num_experts": 32, "num_experts_per_tok": 4,
    "vocab_size": 8192, "max_position_embeddings": 4096})";
  const auto plan = synth::PlanModel({"small", config}, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_TRUE(synth::WriteModel(*plan, file_, nullptr).ok());
  const EngineMemoryDemand demand{4, 1000, 256};
  const EngineMemory told = Ask(demand, false), taken = Ask(demand, true);
  EXPECT_EQ(told.weights, taken.weights);
  EXPECT_EQ(told.kv_cache, taken.kv_cache);
  EXPECT_EQ(told.compute, taken.compute);
  const double buffers = SumOfLog("model buffer size = +([0-9.]+) MiB");  // rounded to 0.01 MiB, with the tensors' alignment
  EXPECT_NEAR(buffers / told.weights, 1, 0.002);
  const EngineMemory predicted = MemoryOfEngine(*model::OpenModel(file_), demand);
  EXPECT_NEAR(predicted.Total() / taken.Total(), 1, 0.03);
}

}  // namespace
}  // namespace moecap::app
