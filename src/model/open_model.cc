#include "model/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/fs.h"
#include "model/catalogue.h"
#include "model/gguf_spec.h"
#include "model/hf_config.h"
#include "model/safetensors.h"

namespace moecap::model {
namespace {
namespace fs = std::filesystem;

Result<ModelSpec> ReadConfig(const fs::path& path, const std::string& id) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Result<ModelSpec> spec = SpecFromConfigText(text, id);
  if (!spec.ok()) return Annotate(path.string(), spec.error());
  return spec;
}

// Compares the checkpoint beside a config with our count. Absent or unreadable: no opinion.
void CompareWithCheckpoint(const fs::path& folder, ModelSpec& spec) {
  std::optional<double> stored;
  const Result<std::string> text = ReadFile(folder / "model.safetensors.index.json");
  if (text.ok()) {
    const Result<SafetensorsIndex> index = ParseSafetensorsIndex(*text);
    if (index.ok() && index->total_bytes) stored = static_cast<double>(*index->total_bytes);
  } else if (std::error_code code; fs::exists(folder / "model.safetensors", code)) {
    const Result<SafetensorsHeader> header = ReadSafetensorsHeader(folder / "model.safetensors");
    if (header.ok()) stored = static_cast<double>(header->Bytes());
  }
  if (!stored || *stored <= 0) return;
  const double ours = spec.WeightBytes();
  const double with_mtp = ours + spec.mtp.Bytes();
  const double with_copies = with_mtp + spec.mtp_copy_bytes;
  const double nearest = std::min({std::abs(*stored - ours), std::abs(*stored - with_mtp), std::abs(*stored - with_copies)});
  if (nearest <= 0.01 * *stored) return;
  spec.notes.push_back(
      fmt::format("The checkpoint holds {:.0f} bytes, the text model counts {:.0f} ({:.0f} with multi-token prediction): "
                  "it may contain other towers or another precision.",
                  *stored, ours, with_mtp));
}

Result<ModelSpec> OpenFolder(const fs::path& folder) {
  std::error_code code;
  const std::string id = fs::path(folder / "").parent_path().filename().string();
  for (const char* name : {"config.json", "params.json"}) {
    if (!fs::exists(folder / name, code)) continue;
    ASSIGN_OR_RETURN(ModelSpec spec, ReadConfig(folder / name, id));
    CompareWithCheckpoint(folder, spec);
    return spec;
  }
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, code)) {
    const std::string file = entry.path().filename().string();
    const bool later_part = file.find("-of-") != std::string::npos && file.find("-00001-of-") == std::string::npos;
    if (file.ends_with(".gguf") && !later_part && !file.starts_with("mmproj")) files.push_back(entry.path());
  }
  if (files.size() == 1) return ReadGgufSpec(files.front());
  if (files.empty())
    return BadInput(fmt::format("{}: no config.json, params.json or .gguf file in this folder", folder.string()));
  return BadInput(fmt::format("{}: {} models in this folder; name one file", folder.string(), files.size()));
}

}  // namespace

Result<ModelSpec> OpenModel(const std::string& name) {
  const fs::path path(name);
  std::error_code code;
  if (fs::is_directory(path, code)) return OpenFolder(path);
  if (fs::exists(path, code)) {
    if (path.extension() == ".gguf") return ReadGgufSpec(path);
    if (path.extension() != ".json") return BadInput(fmt::format("{}: neither a .gguf file nor a config.json", name));
    const std::string folder = fs::absolute(path).parent_path().filename().string();
    ASSIGN_OR_RETURN(ModelSpec spec, ReadConfig(path, path.filename() == "config.json" ? folder : path.stem().string()));
    CompareWithCheckpoint(path.parent_path(), spec);
    return spec;
  }
  if (path.extension() == ".gguf" || path.extension() == ".json")
    return BadInput(fmt::format("cannot open {}: no such file", name));
  ASSIGN_OR_RETURN(const ModelCatalogue catalogue, ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const CatalogueModel entry, catalogue.Find(name));
  const bool is_alias = std::find(entry.aliases.begin(), entry.aliases.end(), name) != entry.aliases.end();
  return SpecOf(entry, is_alias ? name : entry.id);
}

}  // namespace moecap::model
