// moecap synth and moecap validate as their users run them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class Proof : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "config.json") << R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 4,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "moe_intermediate_size": 64, "num_experts": 16,
      "num_experts_per_tok": 4, "vocab_size": 300, "max_position_embeddings": 4096})";
  }

  // Runs the program; returns its exit code.
  int Call(const std::string& arguments) {
    const Outcome outcome = ShellProgram(dir_, arguments);
    out_ = outcome.out;
    err_ = outcome.err;
    return outcome.exit_code;
  }
  std::string Path(const char* name) const { return (dir_ / name).string(); }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  std::string out_, err_;
};

TEST_F(Proof, ADryRunPrintsTheSizeOfAnyCatalogueModel) {
  ASSERT_EQ(Call("synth deepseek-ai/DeepSeek-V3 --type Q4_K --dry-run --json"), 0) << err_;
  const Json plan = ParseJson(out_).value();
  EXPECT_EQ(plan["architecture"], "deepseek2");
  EXPECT_EQ(plan["total_params"], 671026419200) << "published: 671 B without multi-token prediction";
  EXPECT_TRUE(plan["file"].is_null());
  EXPECT_EQ(Call("synth google/gemma-4-26B-A4B --dry-run"), 2);
  EXPECT_THAT(err_, HasSubstr("no synthetic form for model_type 'gemma4"));
  EXPECT_EQ(Call("synth Qwen/Qwen3-30B-A3B"), 2);
  EXPECT_THAT(err_, HasSubstr("-o FILE"));
}

TEST_F(Proof, ASyntheticModelIsWrittenAndItsFormulasHold) {
  ASSERT_EQ(Call("synth " + Path("config.json") + " --layers 2 --skew 0.5 -o " + Path("small.gguf") + " --json"), 0) << err_;
  const Json plan = ParseJson(out_).value();
  EXPECT_EQ(plan["file_bytes"], fs::file_size(dir_ / "small.gguf"));
  ASSERT_EQ(Call("validate " + Path("small.gguf") + " --batches 1,4 --contexts 32 --repeats 1 --threads 1 --json"), 0) << err_;
  const Json result = ParseJson(out_).value();
  EXPECT_TRUE(result["passed"]);
  ASSERT_EQ(result["passes"].size(), 3u);
  for (const Json& pass : result["passes"]) {
    EXPECT_EQ(pass["formula_bytes"], pass["graph_bytes"]);
    EXPECT_EQ(pass["formula_flops"], pass["graph_flops"]);
    EXPECT_TRUE(pass["replay_matches"]);
    EXPECT_GT(pass["recording"]["plain_s"], 0);
  }
  EXPECT_EQ(result["passes"][2]["batch"], 4);
  ASSERT_EQ(Call("validate " + Path("small.gguf") + " --batches 2 --contexts 16 --repeats 0 --threads 1"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("passed"));
  EXPECT_EQ(Call("validate " + Path("small.gguf") + " --batches 0"), 2);
  EXPECT_EQ(Call("validate " + Path("config.json")), 2);
}

}  // namespace
}  // namespace moecap::e2e
