#include "synth/synthesize.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/nearest_word.h"
#include "base/paths.h"
#include "base/rng.h"
#include "model/catalogue.h"
#include "model/gguf_spec.h"
#include "model/hf_config.h"
#include "synth/blocks.h"
#include "synth/router.h"
#include "synth/tokenizer.h"

namespace moecap::synth {
namespace fs = std::filesystem;
namespace {

using model::GgmlType;
using model::GgmlTypeByName;

constexpr size_t kPieceBytes = size_t{8} << 20;
constexpr size_t kMostParts = 500;  // all are open until the last is whole

// A key's value in the form of the writer.
void SetKey(const std::string& key, const BlueprintValue& value, model::GgufWriter& writer) {
  if (const auto* number = std::get_if<uint32_t>(&value)) writer.SetUint(key, *number);
  if (const auto* real = std::get_if<float>(&value)) writer.SetFloat(key, *real);
  if (const auto* flag = std::get_if<bool>(&value)) writer.SetBool(key, *flag);
}

bool ExpertsOnly(const GgmlType& type) { return type.name == "MXFP4" || type.name == "NVFP4"; }

bool Fits(const GgmlType& type, const BlueprintTensor& tensor) { return tensor.dims[0] % type.block_elements == 0; }

// The type a tensor is stored in: vectors, routers and biases in F32; matrices in `wanted`, or Q8_0 (as the 4-bit float formats
// are for experts only, and rows must be whole blocks), or F16.
GgmlType TypeOf(const BlueprintTensor& tensor, const GgmlType& wanted) {
  if (tensor.fill != Fill::kMatrix || tensor.dims.size() < 2) return *GgmlTypeByName("F32");
  if (Fits(wanted, tensor) && (tensor.expert || !ExpertsOnly(wanted))) return wanted;
  const GgmlType fallback = *GgmlTypeByName("Q8_0");
  return Fits(fallback, tensor) ? fallback : *GgmlTypeByName("F16");
}

Result<GgmlType> WantedType(const std::string& name, const Json& config) {
  std::string wanted = name;
  if (wanted.empty()) {
    const auto quantization = config.find("quantization_config");
    const bool mxfp4 =
        quantization != config.end() && quantization->is_object() && quantization->value("quant_method", "") == "mxfp4";
    wanted = mxfp4 ? "MXFP4" : "Q8_0";
  }
  const std::optional<GgmlType> type = GgmlTypeByName(wanted);
  if (!type) {
    const std::string nearest = NearestWord(wanted, FillableTypes());
    return BadInput(
        fmt::format("--type {}: unknown{}", wanted, nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
  }
  RETURN_IF_ERROR([&]() -> Status {
    const Result<BlockFiller> filler = BlockFiller::Create(*type, 1);
    return filler.ok() ? Status() : Status(filler.error());
  }());
  return *type;
}

// Parameters must agree class by class with the config's own inventory, which was made without this code.
Status CheckCounts(const model::GgufWriter& layout, const Json& config, const std::string& id, int64_t& params) {
  const std::string header = layout.Header();
  ASSIGN_OR_RETURN(const auto file, model::ParseGgufPrefix(std::as_bytes(std::span(header))));
  CHECK(file.has_value());
  ASSIGN_OR_RETURN(const model::ModelSpec ours, model::SpecFromGguf(*file));
  ASSIGN_OR_RETURN(const model::ModelSpec expected, model::SpecFromConfig(config, id));
  const model::WeightSet our_classes = ours.ByClass();
  const model::WeightSet expected_classes = expected.ByClass();
  for (const model::TensorClass c : model::kTensorClasses) {
    if (our_classes[c].params == expected_classes[c].params) continue;
    return Failed(
        fmt::format("the file would have {} {} parameters, config.json means {}: this combination of fields is not covered",
                    our_classes[c].params, TensorClassName(c), expected_classes[c].params));
  }
  params = ours.TotalParams();
  return {};
}

// Fills one tensor piece by piece. `deviations` is for routers, one a row.
class TensorWriter {
 public:
  TensorWriter(const BlueprintTensor& tensor, const model::GgufPlacement& place, Rng& rng)
      : tensor_(tensor), place_(place), rng_(rng) {}

  Status Write(const std::vector<double>& deviations, const std::function<Status(std::span<const std::byte>)>& emit) {
    switch (tensor_.fill) {
      case Fill::kZeros:
        return WriteFloats([](size_t) { return 0.0; }, emit);
      case Fill::kOnes:
        return WriteFloats([](size_t) { return 1.0; }, emit);
      case Fill::kRouter: {
        const auto width = static_cast<size_t>(tensor_.dims[0]);
        return WriteFloats([&](size_t i) { return Gaussian(rng_) * deviations[i / width] * tensor_.std_dev; }, emit);
      }
      case Fill::kMatrix:
        return WriteBlocks(emit);
    }
    return {};
  }

 private:
  using Emit = std::function<Status(std::span<const std::byte>)>;

  template <typename Value>
  Status WriteFloats(const Value& value, const Emit& emit) {
    std::vector<float> floats(place_.bytes / sizeof(float));
    for (size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(value(i));
    return emit(std::as_bytes(std::span(floats)));
  }

  Status WriteBlocks(const Emit& emit) {
    ASSIGN_OR_RETURN(const BlockFiller filler, BlockFiller::Create(place_.type, tensor_.std_dev));
    const auto block = static_cast<size_t>(place_.type.block_bytes);
    std::vector<std::byte> piece(std::min<size_t>(place_.bytes, kPieceBytes / block * block));
    for (uint64_t done = 0; done < place_.bytes; done += piece.size()) {
      piece.resize(std::min<uint64_t>(piece.size(), place_.bytes - done));
      filler.Fill(piece, rng_);
      RETURN_IF_ERROR(emit(piece));
    }
    return {};
  }

  const BlueprintTensor& tensor_;
  const model::GgufPlacement& place_;
  Rng& rng_;
};

std::string_view Chars(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

Result<SynthSource> OpenSource(const std::string& name) {
  std::error_code ignored;
  fs::path path(name);
  if (fs::is_directory(path, ignored)) path /= "config.json";
  if (fs::exists(path, ignored)) {
    if (path.extension() != ".json") return BadInput(fmt::format("{}: a config.json or a catalogue id is needed", name));
    ASSIGN_OR_RETURN(std::string text, ReadFile(path));
    const fs::path folder = Absolute(path).parent_path().filename();
    return SynthSource{path.filename() == "config.json" ? folder.string() : path.stem().string(), std::move(text)};
  }
  if (path.extension() == ".json") return BadInput(fmt::format("cannot open {}: no such file", name));
  ASSIGN_OR_RETURN(const model::ModelCatalogue catalogue, model::ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, catalogue.Find(name));
  return SynthSource{entry.id, entry.config_json};
}

Result<SynthPlan> PlanModel(const SynthSource& source, const SynthOptions& options) {
  SynthPlan plan;
  plan.id = source.id;
  plan.seed = options.seed;
  Result<Json> parsed = ParseJson(source.config_json);
  if (!parsed.ok()) return Annotate(source.id, parsed.error());
  ASSIGN_OR_RETURN(const Json config, Shortened(*parsed, options.layers, plan.notes));
  Result<Blueprint> blueprint = MakeBlueprint(config);
  if (!blueprint.ok()) return Annotate(source.id, blueprint.error());
  plan.blueprint = std::move(blueprint).value();
  ASSIGN_OR_RETURN(const GgmlType wanted, WantedType(options.type, config));
  plan.type = wanted.name;
  ASSIGN_OR_RETURN(plan.router_deviations,
                   RowDeviations(plan.blueprint.experts, plan.blueprint.top_k, options.skew_cv, options.seed));

  model::GgufWriter layout;
  layout.SetString("general.architecture", plan.blueprint.architecture);
  layout.SetString("general.name", source.id + " (synthetic weights)");
  layout.SetUint("general.quantization_version", 2);
  for (const auto& [key, value] : plan.blueprint.keys) SetKey(plan.blueprint.architecture + "." + key, value, layout);
  RETURN_IF_ERROR(AddTokenizer(plan.blueprint.vocab, layout));
  int64_t other_type = 0;
  for (const BlueprintTensor& tensor : plan.blueprint.tensors) {
    const GgmlType type = TypeOf(tensor, wanted);
    if (tensor.fill == Fill::kMatrix && tensor.dims.size() > 1 && type.id != wanted.id) ++other_type;
    layout.AddTensor(tensor.name, tensor.dims, type);
  }
  if (other_type > 0) {
    plan.notes.push_back(
        fmt::format("{} matrices are Q8_0 or F16: {}", other_type,
                    ExpertsOnly(wanted) ? "this type is for routed experts." : "their rows are no whole blocks."));
  }
  RETURN_IF_ERROR(CheckCounts(layout, config, source.id, plan.params));
  plan.parts = layout.Split(options.part_bytes == 0 ? layout.DataBytes() : options.part_bytes);
  if (plan.parts.size() > kMostParts) {
    return BadInput(fmt::format("{} parts; a model has {} at most: choose larger ones", plan.parts.size(), kMostParts));
  }
  for (const model::GgufWriter& part : plan.parts) plan.file_bytes += part.Header().size() + part.DataBytes();
  return plan;
}

std::vector<fs::path> FilesOf(const SynthPlan& plan, const fs::path& path) {
  if (plan.parts.size() == 1) return {path};
  std::vector<fs::path> files;
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    files.push_back(path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", path.stem().string(), i + 1, plan.parts.size()));
  }
  return files;
}

namespace {

// Each volume has room for the parts that go there, before any of them is begun.
Status CheckVolumes(const SynthPlan& plan, const std::vector<fs::path>& paths) {
  std::map<dev_t, std::pair<fs::path, uint64_t>> needed;  // a folder of the volume, bytes
  for (size_t i = 0; i < paths.size(); ++i) {
    const fs::path folder = Absolute(ThroughLinks(paths[i])).parent_path();
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) continue;  // creating the file will say why
    const auto need = needed.try_emplace(status.st_dev, folder, uint64_t{0}).first;
    need->second.second += plan.parts[i].Header().size() + plan.parts[i].DataBytes();
  }
  for (const auto& [device, need] : needed) {
    std::error_code error;
    const fs::space_info space = fs::space(need.first, error);
    if (error || space.available >= need.second) continue;
    return BadInput(fmt::format("cannot write into {}: it needs {} bytes there, the volume has {} free", need.first.string(),
                                need.second, space.available));
  }
  return {};
}

// The first part last: while it is not there, the model is not.
Status CommitAll(std::vector<AtomicFileWriter>& files, const std::vector<fs::path>& paths) {
  for (size_t i = files.size(); i-- > 0;) {
    const Status committed = files[i].Commit();
    if (committed.ok()) continue;
    std::error_code ignored;
    for (size_t done = i + 1; done < files.size(); ++done) fs::remove(ThroughLinks(paths[done]), ignored);
    return committed;
  }
  return {};
}

}  // namespace

Status WriteModel(const SynthPlan& plan, const fs::path& path, const SynthProgress& progress) {
  const std::vector<fs::path> paths = FilesOf(plan, path);
  RETURN_IF_ERROR(CheckVolumes(plan, paths));
  std::vector<AtomicFileWriter> files;
  uint64_t done = 0;
  const auto emit = [&](std::span<const std::byte> bytes) -> Status {
    RETURN_IF_ERROR(files.back().Append(Chars(bytes)));
    done += bytes.size();
    if (progress && !progress(done, plan.file_bytes)) return Error{ErrorKind::kInterrupted, "interrupted; nothing was kept"};
    return {};
  };
  Rng rng(plan.seed);
  std::vector<double> deviations = plan.router_deviations;
  auto tensor = plan.blueprint.tensors.begin();
  for (size_t part = 0; part < plan.parts.size(); ++part) {
    const model::GgufWriter& layout = plan.parts[part];
    const std::string header = layout.Header();
    ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Create(paths[part], header.size() + layout.DataBytes()));
    files.push_back(std::move(file));
    RETURN_IF_ERROR(emit(std::as_bytes(std::span(header))));
    const std::vector<model::GgufPlacement>& places = layout.tensors();
    for (size_t i = 0; i < places.size(); ++i, ++tensor) {
      if (tensor->fill == Fill::kRouter) rng.Shuffle(deviations);  // which experts are popular differs by layer
      RETURN_IF_ERROR(TensorWriter(*tensor, places[i], rng).Write(deviations, emit));
      const uint64_t next = i + 1 < places.size() ? places[i + 1].offset : layout.DataBytes();
      const std::vector<std::byte> padding(next - places[i].offset - places[i].bytes);
      RETURN_IF_ERROR(emit(padding));
    }
  }
  return CommitAll(files, paths);
}

}  // namespace moecap::synth
