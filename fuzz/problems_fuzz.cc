// Data sets: the first byte chooses which, so its schema and prompts, and the form of the file.
#include <array>

#include "fuzz/fuzz.h"
#include "workload/prompter.h"

namespace {

using namespace moecap;

// A name with an ending for a file in memory, since the ending tells the form.
class NamedFile {
 public:
  NamedFile(const std::filesystem::path& target, const char* ending)
      : path_(std::filesystem::temp_directory_path() / ("moecap-fuzz-" + std::to_string(::getpid()) + ending)) {
    std::error_code none;
    std::filesystem::remove(path_, none);
    std::filesystem::create_symlink(target, path_);
  }
  ~NamedFile() {
    std::error_code none;
    std::filesystem::remove(path_, none);
  }
  NamedFile(const NamedFile&) = delete;
  NamedFile& operator=(const NamedFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const std::vector<workload::DatasetInfo>& Infos() {
  static const auto infos = workload::BuiltinDatasets();
  return *infos;
}

const workload::PromptTemplate& PromptOf(size_t dataset) {
  static const auto prompts = [] {
    std::vector<workload::PromptTemplate> all;
    for (const workload::DatasetInfo& info : Infos()) {
      all.push_back(*workload::FindPromptTemplate(info.prompts.front()));
      all.back().shots = 0;
    }
    return all;
  }();
  return prompts[dataset];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::array kEndings = {".jsonl", ".json", ".csv"};
  if (size == 0) return 0;
  const size_t dataset = data[0] % Infos().size();
  const fuzz::MemoryFile memory(data + 1, size - 1);
  const NamedFile file(memory.path(), kEndings[data[0] / Infos().size() % kEndings.size()]);
  const workload::DatasetInfo& info = Infos()[dataset];
  const auto loaded = workload::LoadDataset(info, info.split, file.path(), 3);
  if (!loaded.ok()) return 0;
  const int64_t count = std::ssize(loaded->problems);
  CHECK(count > 0 && count + loaded->skipped == loaded->rows);
  CHECK(std::ssize(*workload::SampleProblems(loaded->problems, count, 7)) == count);
  const auto prompter = workload::Prompter::Create(PromptOf(dataset), {}, loaded->rows);
  CHECK(prompter.ok());
  for (const workload::Problem& problem : loaded->problems) CHECK(prompter->Render(problem).ok());
  return 0;
}
