#include "system/llamacpp/gpu_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_dir.h"
#include "system/llamacpp/engine_library.h"

namespace moecap::llamacpp {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(GpuTrial, ABackendThatAbortsEndsAChildAndSaysWhy) {
  const GpuTrial trial = TryGpuBackend(MOECAP_FAKE_GPU_BACKEND);
  EXPECT_FALSE(trial.usable);
  EXPECT_THAT(trial.failure,
              AllOf(HasSubstr("the provided PTX was compiled with an unsupported toolchain"), HasSubstr("signal 6")));
}

TEST(GpuTrial, AFileThatIsNoLibraryCannotBeLoaded) {
  const TempDir dir;
  std::ofstream(dir / "libggml-cuda.so") << "no library";
  const GpuTrial trial = TryGpuBackend(dir / "libggml-cuda.so");
  EXPECT_FALSE(trial.usable);
  EXPECT_THAT(trial.failure, HasSubstr("libggml-cuda.so"));
}

TEST(GpuTrial, OnlyGpuBackendsAreTried) {
  const TempDir dir;
  for (const char* name : {"libggml-base.so", "libggml-cpu-zen4.so", "libggml-blas.so", "libggml-rpc.so", "libggml-cuda.so",
                           "libggml-vulkan.so", "libggml.v0.5.0.so", "readme.txt"})
    std::ofstream(dir / name) << "";
  EXPECT_THAT(GpuBackendsIn(dir.path()), ElementsAre(dir / "libggml-cuda.so", dir / "libggml-vulkan.so"));
  EXPECT_THAT(GpuBackendsIn(dir / "nowhere"), ElementsAre());
}

// The engine's CPU libraries with a GPU backend beside them that kills whoever loads it.
TEST(EngineLibrary, ABrokenGpuBackendLeavesTheCpu) {
  if (std::string_view(MOECAP_ENGINE_BACKEND_DIR).empty()) GTEST_SKIP() << "this build links its backends in";
  const TempDir dir;
  for (const auto& entry : fs::directory_iterator(MOECAP_ENGINE_BACKEND_DIR)) {
    if (entry.path().filename().string().starts_with("libggml-cpu"))
      fs::create_symlink(entry.path(), dir / entry.path().filename());
  }
  fs::create_symlink(MOECAP_FAKE_GPU_BACKEND, dir / "libggml-cuda.so");
  auto library = EngineLibrary::Load(dir.path());
  ASSERT_TRUE(library.ok()) << library.error().message;
  EXPECT_THAT((*library)->description(), HasSubstr("CPU"));
  EXPECT_THAT((*library)->UseGpus(), ElementsAre());
  EXPECT_THAT((*library)->gpu_failure(), AllOf(HasSubstr("libggml-cuda.so"), HasSubstr("unsupported toolchain")));
  EXPECT_FALSE(CpuFeatures().empty());
}

}  // namespace
}  // namespace moecap::llamacpp
