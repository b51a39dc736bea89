#include "web/uploads.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/imported.h"
#include "base/fs.h"
#include "base/json.h"
#include "web/page.h"

namespace moecap::web {
namespace fs = std::filesystem;
namespace {

constexpr const char* kUploads = ".uploads";
constexpr size_t kMostDepth = 8;

fs::path FolderOfUpload(const fs::path& results_dir, const std::string& name) { return results_dir / kUploads / name; }

struct Size {
  uint64_t bytes = 0;
  size_t files = 0;
};

Size SizeOf(const fs::path& folder) {
  Size size;
  std::error_code code;
  for (auto entry = fs::recursive_directory_iterator(folder, code); !code && entry != fs::recursive_directory_iterator();
       entry.increment(code)) {
    if (!entry->is_regular_file(code)) continue;
    size.bytes += entry->file_size(code);
    ++size.files;
  }
  return size;
}

size_t OpenUploads(const fs::path& results_dir) {
  size_t open = 0;
  std::error_code code;
  for (auto entry = fs::directory_iterator(results_dir / kUploads, code); !code && entry != fs::directory_iterator();
       entry.increment(code))
    ++open;
  return open;
}

Status WriteUpload(const fs::path& results_dir, const std::vector<std::string>& path, const std::string& body) {
  const fs::path folder = FolderOfUpload(results_dir, path.front());
  std::error_code code;
  if (!fs::is_directory(folder, code) && OpenUploads(results_dir) >= kMostOpenImports)
    return BadInput(fmt::format("{} imports were begun and not ended; end them first", kMostOpenImports));
  const Size size = SizeOf(folder);
  if (size.files >= kMostImportFiles || size.bytes + body.size() > kMostImportBytes)
    return BadInput(fmt::format("one import has at most {} files and {} bytes; export the run with --compact", kMostImportFiles,
                                kMostImportBytes));
  fs::path file = folder;
  for (size_t i = 1; i < path.size(); ++i) file /= path[i];
  RETURN_IF_ERROR(MakeWritableDir(file.parent_path()));
  return WriteFileAtomically(file, body);
}

// The files of result files; a run's folder is what was brought, or the only folder in it.
Result<std::vector<fs::path>> FoldersIn(const fs::path& folder, const fs::path& results_dir) {
  std::vector<fs::path> entries;
  std::error_code code;
  for (auto entry = fs::directory_iterator(folder, code); !code && entry != fs::directory_iterator(); entry.increment(code))
    entries.push_back(entry->path());
  if (entries.empty()) return BadInput("nothing was brought under this name");
  if (experiment::Results::IsExperiment(folder)) return std::vector<fs::path>{folder};
  std::ranges::sort(entries);
  if (std::ranges::all_of(entries, experiment::Results::IsExperiment)) return entries;
  ASSIGN_OR_RETURN(const fs::path made, analysis::StoreResultFiles(entries, results_dir));
  return std::vector<fs::path>{made};
}

Result<Json> ImportAll(const fs::path& folder, const fs::path& results_dir, const analysis::FigureMaker& make_figures) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> folders, FoldersIn(folder, results_dir));
  ASSIGN_OR_RETURN(const std::vector<analysis::ImportedRun> runs, analysis::ImportRuns(folders, results_dir, make_figures));
  Json list = Json::array();
  for (const analysis::ImportedRun& run : runs)
    list.push_back({{"run_id", run.run_id}, {"was_there", run.was_there}, {"page", RunPath(run.run_id)}});
  return Json{{"schema", 1}, {"runs", std::move(list)}};
}

}  // namespace

bool IsFileName(const std::string& part) {
  constexpr size_t kMostBytes = 128;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '+' ||
           c == '-';
  };
  return !part.empty() && part.size() <= kMostBytes && part.front() != '.' && std::ranges::all_of(part, is_plain);
}

void ForgetUploads(const fs::path& results_dir) {
  std::error_code code;
  fs::remove_all(results_dir / kUploads, code);
}

Response StoreUpload(const fs::path& results_dir, const std::vector<std::string>& path, const std::string& body) {
  if (path.size() < 2 || path.size() > kMostDepth || !std::ranges::all_of(path, IsFileName))
    return JsonError(BadInput("a file's path has 1 to 7 parts of letters, digits and \"._+-\", none beginning with a dot"),
                     400);
  const Status written = WriteUpload(results_dir, path, body);
  if (!written.ok()) return JsonError(written.error(), written.error().kind == ErrorKind::kBadInput ? 400 : 500);
  return {201, kJsonType, DumpJson(Json{{"bytes", body.size()}}), {}};
}

Response FinishUpload(const fs::path& results_dir, const std::string& name, const analysis::FigureMaker& make_figures) {
  if (!IsFileName(name)) return JsonError(BadInput("an import's name has letters, digits and \"._+-\""), 400);
  const fs::path folder = FolderOfUpload(results_dir, name);
  const auto imported = ImportAll(folder, results_dir, make_figures);
  std::error_code code;
  fs::remove_all(folder, code);
  return imported.ok() ? Response{200, kJsonType, DumpJson(*imported), {}} : JsonError(imported.error(), 400);
}

Response ImportPage() {
  return Page(
      {"Import", "/import", true},
      "<main id=\"main\" class=\"wideview\"><h1>Import</h1>\n<p class=\"lead\">A run's folder, an export "
      "(<code>moecap runs export --compact</code>), or result files of vllm bench serve, SGLang, AIPerf, GenAI-Perf, "
      "GuideLLM, llama-bench or MoE-CAP.</p>\n<form id=\"import\" class=\"import\">\n<div class=\"drop\"><label "
      "class=\"button\">Choose a folder<input type=\"file\" name=\"folder\" webkitdirectory multiple></label> <label "
      "class=\"button\">Choose files<input type=\"file\" name=\"files\" multiple></label><p>or drop them here</p></div>\n"
      "<label>Token<input type=\"password\" name=\"token\" autocomplete=\"off\" placeholder=\"printed when the server "
      "started\"></label>\n<p id=\"said\" role=\"status\"></p></form>\n<noscript><p>Importing from this page needs a script; "
      "<code>docs/serve.md</code> says how to do it with curl.</p></noscript></main>\n");
}

}  // namespace moecap::web
