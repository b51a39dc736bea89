#include "model/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/fs.h"
#include "base/paths.h"
#include "base/python_json.h"
#include "model/catalogue.h"
#include "model/checkpoint.h"
#include "model/checkpoint_files.h"
#include "model/gguf_spec.h"
#include "model/hf_config.h"
#include "model/json_at.h"

namespace moecap::model {
namespace {
namespace fs = std::filesystem;

// A quantisation that its writer put beside config.json: ModelOpt's, AutoGPTQ's or AutoAWQ's file, as a quantization_config.
struct Sidecar {
  std::string_view file;
  std::string_view method;
};
constexpr std::array kSidecars = {Sidecar{"hf_quant_config.json", "modelopt"}, Sidecar{"quantize_config.json", "gptq"},
                                  Sidecar{"quant_config.json", "awq"}};

Result<Json> ReadSidecar(const fs::path& path, std::string_view method) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Result<Json> read = ParsePythonJson(text);
  if (!read.ok()) return Annotate(path.string(), read.error());
  Json quantization = *std::move(read);
  if (!quantization.is_object()) return BadInput(fmt::format("{}: not a JSON object", path.string()));
  if (const Json* nested = ObjectAt(quantization, "quantization")) quantization = Json(*nested);
  if (TextAt(quantization, "quant_method").empty())
    quantization["quant_method"] = quantization.contains("w_bit") ? "awq" : std::string(method);
  return quantization;
}

// What the config itself does not say is taken from the file beside it.
void Complete(const Json& sidecar, Json& own) {
  const auto has_any = [&own](std::initializer_list<const char*> keys) {
    return std::ranges::any_of(keys, [&](const char* key) { return ValueAt(own, key) != nullptr; });
  };
  const auto take = [&](const char* key) {
    if (const Json* value = ValueAt(sidecar, key)) own[key] = *value;
  };
  if (!has_any({"quant_algo", "config_groups", "quantized_layers"})) take("quant_algo");
  if (!has_any({"quantized_layers", "config_groups"})) take("quantized_layers");
  if (!has_any({"ignore", "exclude_modules", "modules_to_not_convert"})) take("exclude_modules");
  if (!has_any({"kv_cache_quant_algo", "kv_cache_scheme"})) take("kv_cache_quant_algo");
  if (!has_any({"group_size"})) take("group_size");
}

Status AddSidecars(const fs::path& folder, bool precision_is_given, Json& config) {
  if (!config.is_object()) return {};
  std::error_code code;
  Json* owner = &config;
  for (const char* key : {"text_config", "language_config", "llm_config"}) {
    if (ObjectAt(config, key) != nullptr && ValueAt(config[key], "quantization_config") != nullptr) owner = &config[key];
  }
  for (const Sidecar& sidecar : kSidecars) {
    if (!fs::exists(folder / sidecar.file, code)) continue;
    const Result<Json> beside = ReadSidecar(folder / sidecar.file, sidecar.method);
    if (!beside.ok() && precision_is_given) continue;
    if (!beside.ok()) return beside.error();
    const Json* own = ValueAt(*owner, "quantization_config");
    if (own == nullptr && ValueAt(*owner, "compression_config") == nullptr && ValueAt(*owner, "quantization") == nullptr) {
      (*owner)["quantization_config"] = *beside;
    } else if (own != nullptr && own->is_object() && sidecar.method == "modelopt") {
      const std::string method = LowerCase(TextAt(*own, "quant_method", "modelopt"));
      if (method.starts_with("modelopt") || !TextAt(*own, "moe_quant_algo").empty())
        Complete(*beside, (*owner)["quantization_config"]);
    }
    return {};
  }
  return {};
}

// Compares the size of a checkpoint whose headers are not here with our count.
void CompareSize(const CheckpointFiles& files, ModelSpec& spec) {
  if (!files.total_bytes || *files.total_bytes <= 0) return;
  const auto stored = static_cast<double>(*files.total_bytes);
  const double ours = spec.WeightBytes();
  const double with_mtp = ours + spec.mtp.Bytes();
  const double with_copies = with_mtp + spec.mtp_copy_bytes;
  const double with_towers = spec.ResidentBytes();
  const double nearest = std::min(
      {std::abs(stored - ours), std::abs(stored - with_mtp), std::abs(stored - with_copies), std::abs(stored - with_towers)});
  if (nearest <= 0.01 * stored) return;
  spec.notes.push_back(
      fmt::format("The checkpoint holds {:.0f} bytes, the text model counts {:.0f} ({:.0f} with multi-token prediction): "
                  "it may contain other towers or another precision.",
                  stored, ours, with_mtp));
}

// What the config says, then what the tensors hold where their headers are here.
Result<ModelSpec> SpecOf(const Json& config, const CheckpointFiles& files, const std::string& id, const OpenOptions& options) {
  const PackingHints hints = PackingHintsOf(config);
  if (options.weights_alone && config.is_object() && !KnowsFamily(config) && files.complete())
    return SpecFromInventory(TakeInventory(files.tensors, 0, hints), config, id);
  HfOptions reading;
  // The headers say more than names; both count for what the weights are stored as, not for what they are served as.
  reading.precision_is_given = options.precision_is_given || files.complete();
  if (!options.precision_is_given && !files.complete() && !files.names.empty()) reading.stored = &files.names;
  ASSIGN_OR_RETURN(ModelSpec spec, SpecFromConfig(config, id, reading));
  spec.notes.insert(spec.notes.end(), files.notes.begin(), files.notes.end());
  if (files.complete()) {
    const int layers = static_cast<int>(StoredLayers(config));
    ApplyInventory(TakeInventory(files.tensors, layers, hints), spec);
  } else {
    CompareSize(files, spec);
  }
  return spec;
}

Result<ModelSpec> ReadConfig(const fs::path& path, const std::string& id, const OpenOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const auto read = [&]() -> Result<ModelSpec> {
    ASSIGN_OR_RETURN(Json config, ParsePythonJson(text));
    RETURN_IF_ERROR(AddSidecars(folder, options.precision_is_given, config));
    return SpecOf(config, ReadCheckpointFiles(folder), id, options);
  };
  Result<ModelSpec> spec = read();
  if (!spec.ok()) return Annotate(path.string(), spec.error());
  return spec;
}

Result<ModelSpec> OpenFolder(const fs::path& folder, const OpenOptions& options) {
  std::error_code code;
  const std::string id = fs::path(folder / "").parent_path().filename().string();
  for (const char* name : {"config.json", "params.json"}) {
    if (fs::exists(folder / name, code)) return ReadConfig(folder / name, id, options);
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

Result<ModelSpec> OpenModel(const std::string& name, const OpenOptions& options) {
  const fs::path path(name);
  std::error_code code;
  if (fs::is_directory(path, code)) return OpenFolder(path, options);
  if (fs::exists(path, code)) {
    if (path.extension() == ".gguf") return ReadGgufSpec(path);
    if (path.extension() != ".json") return BadInput(fmt::format("{}: neither a .gguf file nor a config.json", name));
    const std::string folder = Absolute(path).parent_path().filename().string();
    return ReadConfig(path, path.filename() == "config.json" ? folder : path.stem().string(), options);
  }
  if (path.extension() == ".gguf" || path.extension() == ".json")
    return BadInput(fmt::format("cannot open {}: no such file", name));
  ASSIGN_OR_RETURN(const ModelCatalogue catalogue, ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const CatalogueModel entry, catalogue.Find(name));
  const bool is_alias = std::find(entry.aliases.begin(), entry.aliases.end(), name) != entry.aliases.end();
  return SpecOf(entry, is_alias ? name : entry.id);
}

}  // namespace moecap::model
