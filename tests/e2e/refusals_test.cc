// What the machine refuses, met by the program: memory, disk and GPU libraries. Each is an error with a remedy, none a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMapsEverything = true;  // a sanitizer's own address space is terabytes
#else
constexpr bool kMapsEverything = false;
#endif

class Refusals : public testing::Test {
 protected:
  // A model whose contexts may be long: 2 KiB of cache a token.
  void MakeModel() {
    std::ofstream(dir_ / "config.json") << R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 4,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "moe_intermediate_size": 64, "num_experts": 16,
      "num_experts_per_tok": 4, "vocab_size": 300, "max_position_embeddings": 2000000})";
    ASSERT_EQ(CallProgram(dir_, {"synth", "config.json", "-o", "long.gguf"}).exit_code, 0);
  }

  // `moecap run` of one system; `keys` of the system and, as lines, of the file.
  Outcome Run(const std::string& model, const std::string& keys, const std::string& lines, int clients = 1,
              const std::function<void()>& prepare = {}) {
    std::ofstream(dir_ / "run.yaml") << "systems: [{name: one, model: " << model << ", threads: 1" << keys << "}]\n"
                                     << lines << "workload: {requests: 2, input_tokens: 8, output_tokens: 2}\nload: {clients: ["
                                     << clients << "]}\nrepeats: 1\n";
    return CallProgram(dir_, {"run", "run.yaml"}, prepare);
  }

  static std::function<void()> WithAddressSpace(rlim_t bytes) {
    return [bytes] {
      const rlimit limit{bytes, bytes};
      if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(97);
    };
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  const std::string tiny_moe_ = MOECAP_SOURCE_DIR "/models/tiny-moe/tiny-moe-f16.gguf";
};

TEST_F(Refusals, ACacheBeyondTheMemoryTellsHowManyClientsHaveRoom) {
  if (kMapsEverything) GTEST_SKIP() << "no limit of address space under a sanitizer";
  MakeModel();
  // 16 x 1,000,000 tokens are 33 GB.
  const Outcome outcome = Run("long.gguf", "", "context_tokens: 1000000\n", 16, WithAddressSpace(rlim_t{8} << 30));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("16 x 1000000 tokens"), HasSubstr("this machine has"), HasSubstr("what has room: "),
                                 HasSubstr(" with 1000000 tokens of context"), Not(HasSubstr("15 clients"))));
}

// The context of the routing replay has room beside the first: what is said to fit is measured to its end.
TEST_F(Refusals, AsManyClientsAsAreSaidToHaveRoomAreMeasured) {
  if (kMapsEverything) GTEST_SKIP() << "no limit of address space under a sanitizer";
  MakeModel();
  const auto run = [&](int clients) {
    return Run("long.gguf", "", "context_tokens: 100000\n", clients, WithAddressSpace(rlim_t{2} << 30));
  };
  const Outcome refused = run(16);
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  const std::string before = "what has room: ";
  const size_t at = refused.err.find(before);
  ASSERT_NE(at, std::string::npos) << refused.err;
  const int clients = std::atoi(refused.err.c_str() + at + before.size());
  ASSERT_GT(clients, 0) << refused.err;
  const Outcome measured = run(clients);
  EXPECT_EQ(measured.exit_code, 0) << clients << ": " << measured.err;
}

TEST_F(Refusals, BuffersBeyondTheMemoryTellHowShortPassesMustBe) {
  if (kMapsEverything) GTEST_SKIP() << "no limit of address space under a sanitizer";
  MakeModel();
  // Weights and cache are small; the mask of 200,000 tokens against as many cells is not.
  const Outcome outcome =
      Run("long.gguf", "", "context_tokens: 200000\nbatch_tokens: 200000\n", 1, WithAddressSpace(rlim_t{6} << 30));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("no context of 1 x 200000 tokens"), HasSubstr("alloc"), HasSubstr("batch_tokens: ")));
}

TEST_F(Refusals, ADiskThatFillsWhileQuantisingIsNamed) {
  fs::create_directory(dir_ / "small");
  const Outcome outcome = Run(tiny_moe_, ", weights: q8_0", "", 1, [&] {
    constexpr int kMayNot = 77;
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", (dir_ / "small").c_str(), "tmpfs", 0, "size=4m") != 0)
      ::_exit(kMayNot);
    ::setenv("XDG_CACHE_HOME", (dir_ / "small").c_str(), 1);
  });
  if (outcome.exit_code == 77) GTEST_SKIP() << "this process may not mount a file system";
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("cannot quantise"), HasSubstr("are free"), HasSubstr("make room in")));
}

// The engine's libraries with a CUDA backend beside them that cannot be loaded, as where there is no driver.
TEST_F(Refusals, ACudaLibraryWithoutADriverLeavesTheProcessor) {
  const fs::path engine = MOECAP_ENGINE_LIBRARIES;
  if (engine.empty()) GTEST_SKIP() << "this build links its backends in";
  fs::create_directory(dir_ / "engine");
  for (const auto& entry : fs::directory_iterator(engine))
    fs::create_symlink(entry.path(), dir_ / "engine" / entry.path().filename());
  std::ofstream(dir_ / "engine/libggml-cuda.so") << "no library";
  const auto with_it = [&] { ::setenv("LD_LIBRARY_PATH", (dir_ / "engine").c_str(), 1); };
  const Outcome must = Run(tiny_moe_, ", device: gpu", "", 1, with_it);
  EXPECT_EQ(must.exit_code, 2) << must.err;
  EXPECT_THAT(must.err, AllOf(HasSubstr("device: gpu, but no GPU can be used"), HasSubstr("libggml-cuda.so"),
                              HasSubstr("set device: cpu")));
  const Outcome may = Run(tiny_moe_, ", device: auto", "", 1, with_it);
  EXPECT_EQ(may.exit_code, 0) << may.err;
  int runs = 0;
  for (const auto& run : fs::directory_iterator(dir_ / "results")) {
    const auto manifest = ReadFile(run.path() / "manifest.json");
    if (!manifest.ok()) continue;  // no run's folder
    ++runs;
    EXPECT_THAT(*manifest, AllOf(HasSubstr("no GPU can be used"), HasSubstr("libggml-cuda.so"))) << "the description says why";
  }
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace moecap::e2e
