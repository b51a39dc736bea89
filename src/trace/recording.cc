#include "trace/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "trace/importers.h"
#include "trace/merge.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

// What lies beside recordings and is none, or belongs to one.
bool IsBeside(const fs::path& path) {
  const std::string name = path.filename().string(), extension = path.extension().string();
  if (name.starts_with('.') || name == "meta_info.json" || name == "config.json") return true;
  for (const char* other : {".md", ".txt", ".log", ".yaml", ".yml", ".html", ".svg", ".sh", ".py"}) {
    if (extension == other) return true;
  }
  return false;
}

struct File {
  fs::path path;
  ImportKind kind;
};

Result<std::vector<File>> FilesOf(const std::vector<fs::path>& paths, std::optional<ImportKind> kind) {
  std::vector<File> files;
  for (const fs::path& path : paths) {
    ASSIGN_OR_RETURN(const std::vector<fs::path> named, RecordingFiles(path));
    for (const fs::path& file : named) {
      if (kind) {
        files.push_back({file, *kind});
        continue;
      }
      ASSIGN_OR_RETURN(const ImportKind detected, DetectKind(file));
      files.push_back({file, detected});
    }
  }
  for (const File& file : files) {
    if (file.kind == files[0].kind) continue;
    return BadInput(fmt::format("{} is of the format {}, {} of {}: they are no one recording", files[0].path.string(),
                                Name(files[0].kind), file.path.string(), Name(file.kind)));
  }
  return files;
}

}  // namespace

Result<std::vector<fs::path>> RecordingFiles(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (auto entry = fs::directory_iterator(path, code); !code && entry != fs::directory_iterator(); entry.increment(code)) {
    if (!entry->is_regular_file(code) || IsBeside(entry->path())) continue;
    if (DetectKind(entry->path()).ok()) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  if (!files.empty()) return files;
  return BadInput(fmt::format(
      "{}: the folder has no recording: no rank<r>.safetensors (TensorRT-LLM writes them when the last iteration of "
      "EXPERT_STATISTIC_ITER_RANGE is reached), no .pt of SGLang's recorder, nor any other known format",
      path.string()));
}

Result<std::unique_ptr<TraceSource>> OpenRecording(const std::vector<fs::path>& paths, std::optional<ImportKind> kind,
                                                   const ImportOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<File> files, FilesOf(paths, kind));
  // Our own format keeps what was told when it was written; --ranks completes that.
  const bool told_more = files[0].kind == ImportKind::kMoetrace && options.ranks > 0;
  if (files.size() == 1 && !told_more) return OpenTrace(files[0].path, files[0].kind, options);
  // Layers of a pipeline stage are numbered as the whole model's, so only all of them together can be held against it.
  ImportOptions each = options;
  if (files[0].kind == ImportKind::kTensorRt) each.moe_layers.clear();
  std::vector<Opener> openers;
  std::vector<int> idle;
  bool ranks = true;
  for (const File& file : files) {
    const auto source = OpenTrace(file.path, file.kind, each);
    if (!source.ok()) {
      // One rank of several may have waited all the time.
      const int rank = RankInName(file.path);
      if (rank < 0 || !source.error().message.ends_with(kNothingRecorded)) return source.error();
      idle.push_back(rank);
      continue;
    }
    openers.push_back([file, each] { return OpenTrace(file.path, file.kind, each); });
    ranks &= !(*source)->header().share.ranks.empty();
  }
  if (openers.empty()) return BadInput(std::string(kNothingRecorded));
  if (!ranks && files.size() == 1) return openers[0]();
  return ranks ? MergeRanks(std::move(openers), idle, options) : Concatenate(std::move(openers));
}

}  // namespace moecap::trace
