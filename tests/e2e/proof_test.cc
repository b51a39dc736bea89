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

TEST_F(Proof, DraftsAreMeasuredBesideWhatPlainPassesForetell) {
  ASSERT_EQ(Call("synth " + Path("config.json") + " --layers 2 -o " + Path("small.gguf")), 0) << err_;
  const std::string drafts = "validate " + Path("small.gguf") + " --threads 1 --repeats 1 --requests 2 --output-tokens 24 ";
  ASSERT_EQ(Call(drafts + "--drafts 1,4 --json"), 0) << err_;
  const Json result = ParseJson(out_).value();
  ASSERT_EQ(result["cells"].size(), 2u);
  for (const Json& cell : result["cells"]) {
    EXPECT_GT(cell["measured"]["speed_up"], 0);
    EXPECT_GT(cell["predicted"]["speed_up"], 0);
    if (cell["differing_answers"] == 0) {
      EXPECT_EQ(cell["measured"]["tokens_per_pass"], cell["predicted"]["tokens_per_pass"]);
    }
  }
  ASSERT_EQ(Call(drafts + "--drafts 2 --clients 2 --continue 16"), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("speed-up"));
  EXPECT_EQ(Call(drafts + "--drafts 64 --clients 4"), 2);
  EXPECT_THAT(err_, HasSubstr("260 rows"));
  EXPECT_EQ(Call(drafts + "--drafts 2 --limit-s 0.000001"), 1);
  EXPECT_THAT(err_, HasSubstr("raise the limit"));
  ASSERT_EQ(Call(drafts + "--drafts 2 --cpu-time"), 0) << err_;
  EXPECT_EQ(Call(drafts + "--drafts 0"), 2);
  EXPECT_EQ(Call(drafts + "--drafts 2 --problems " + Path("config.json")), 2);
  EXPECT_THAT(err_, HasSubstr("question"));
}

// The table and the figure of docs/validation.md.
TEST_F(Proof, CountersAreComparedWithTheFormulaAndWithTermsOfOtherShapes) {
  const std::string root = MOECAP_SOURCE_DIR;
  const std::string counters =
      "validate --counters " + root + "/results/reference/h200-counters --shapes " + root + "/tools/gpu/shapes";
  ASSERT_EQ(Call(counters + " --latencies " + root + "/results/reference/h200-passes --svg " + Path("pictures")), 0) << err_;
  for (const char* words : {"mixtral-8x7b", "tiles again", "held out", "gpt-oss-20b"}) EXPECT_THAT(out_, HasSubstr(words));
  EXPECT_EQ(ReadFile(dir_ / "pictures/mixtral-8x7b-s-mbu.svg").value(),
            ReadFile(fs::path(root) / "docs/mixtral-8x7b-s-mbu.svg").value())
      << "the figure of docs/validation.md is another";
  EXPECT_EQ(Call(counters + " --svg " + Path("pictures")), 2);
  EXPECT_THAT(err_, HasSubstr("--latencies"));
  EXPECT_EQ(Call("validate"), 2);
  EXPECT_THAT(err_, HasSubstr("--counters DIR"));
}

TEST_F(Proof, TheFiguresOfThePaperAreRedrawnFromStoredRuns) {
  const std::string runs = std::string(MOECAP_SOURCE_DIR) + "/results/reference/";
  ASSERT_EQ(
      Call("report " + runs + "h200-vllm-qwen3-30b-a3b " + runs + "h200-engine-qwen3-30b-a3b --paper-figures " + Path("paper")),
      0)
      << err_;
  for (const char* file : {"activated-share.svg", "required-bandwidth.svg", "radar.svg"})
    EXPECT_TRUE(fs::exists(dir_ / "paper" / file));
}

}  // namespace
}  // namespace moecap::e2e
