#include "model/checkpoint_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/fs.h"

namespace moecap::model {
namespace {
namespace fs = std::filesystem;

// The index that names shards: the standard one, else the only other.
fs::path FindIndex(const fs::path& folder) {
  std::error_code code;
  if (fs::path standard = folder / "model.safetensors.index.json"; fs::exists(standard, code)) return standard;
  std::vector<fs::path> others;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().filename().string().ends_with(".safetensors.index.json")) others.push_back(entry.path());
  }
  return others.size() == 1 ? others.front() : fs::path();
}

// Without an index: every file, or those of one naming when the same model lies there twice (Mistral's consolidated files).
std::set<std::string> FindShards(const fs::path& folder) {
  std::set<std::string> shards;
  std::error_code code;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") && !name.starts_with("adapter")) shards.insert(name);
  }
  const auto is_model = [](const std::string& name) { return name.starts_with("model"); };
  if (std::ranges::any_of(shards, is_model)) std::erase_if(shards, [&](const std::string& name) { return !is_model(name); });
  return shards;
}

}  // namespace

CheckpointFiles ReadCheckpointFiles(const fs::path& folder) {
  CheckpointFiles files;
  std::set<std::string> shards;
  if (const fs::path index_path = FindIndex(folder); !index_path.empty()) {
    const Result<std::string> text = ReadFile(index_path);
    const Result<SafetensorsIndex> index = text.ok() ? ParseSafetensorsIndex(*text) : Result<SafetensorsIndex>(text.error());
    if (index.ok()) {
      shards.insert(index->shards.begin(), index->shards.end());
      files.total_bytes = index->total_bytes;
      for (const std::string& name : index->names) files.names.Add(name);
    } else {
      files.notes.push_back(fmt::format("{} cannot be read ({}).", index_path.filename().string(), index.error().message));
    }
  }
  if (shards.empty()) shards = FindShards(folder);
  files.shards = shards.size();
  int64_t bytes = 0;
  std::set<std::string> seen;
  for (const std::string& shard : shards) {
    std::error_code code;
    // An index names files of its own folder, nothing else.
    const bool here = fs::path(shard).filename() == fs::path(shard) && fs::exists(folder / shard, code);
    if (!here) {
      ++files.missing;
      continue;
    }
    Result<SafetensorsHeader> header = ReadSafetensorsHeader(folder / shard, true);
    if (!header.ok()) {
      ++files.missing;
      if (files.notes.empty()) files.notes.push_back(fmt::format("{}.", header.error().message));
      continue;
    }
    for (SafetensorsTensor& tensor : header->tensors) {
      if (!seen.insert(tensor.name).second) continue;
      bytes += tensor.bytes;
      files.names.Add(tensor.name);
      files.tensors.push_back(std::move(tensor));
    }
  }
  if (files.complete()) files.total_bytes = bytes;
  return files;
}

}  // namespace moecap::model
