#include "model/gguf_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/gguf_layer.h"
#include "model/gguf_names.h"

namespace moecap::model {
namespace {

// Parameters by class and type, to name the dominant type.
using TypeTally = std::array<std::map<std::string, int64_t>, kTensorClassCount>;

struct Sorted {
  std::vector<GgufLayerTensors> layers;  // MTP layers at the end
  TypeTally tally;
  std::set<std::string> unknown;  // parts of names that no rule classes, counted as "other"
};

Weights WeightsOf(const GgufTensor& tensor, std::string_view part, TensorClass c) {
  Weights weights;
  weights.bytes = static_cast<double>(tensor.bytes);
  if (tensor.type.integer) return weights;
  weights.params = tensor.elements;
  if (IsMatrix(part, c, tensor.dims)) {
    weights.matrix_params = weights.params;
    weights.matrix_bytes = weights.bytes;
  }
  return weights;
}

Status AddTensor(const GgufTensor& tensor, int main_layers, ModelSpec& spec, Sorted& sorted) {
  const GgufName name = SplitGgufName(tensor.name);
  if (name.layer >= static_cast<int>(sorted.layers.size())) {
    return BadInput(fmt::format("tensor '{}' lies beyond the {} layers of block_count", tensor.name, sorted.layers.size()));
  }
  if (name.part.starts_with("enc.") || name.part.starts_with("dec.")) {
    return BadInput(fmt::format("tensor '{}': encoder-decoder GGUF files are not supported", tensor.name));
  }
  if (name.layer < 0) {
    const std::optional<TensorClass> c = ClassOfGgufTensor(name);
    if (!c) sorted.unknown.insert(std::string(name.part));
    const TensorClass known = c.value_or(TensorClass::kOther);
    spec.ends[known] += WeightsOf(tensor, name.part, known);
    if (!tensor.type.integer) sorted.tally[static_cast<size_t>(known)][std::string(tensor.type.name)] += tensor.elements;
    return {};
  }
  const auto layer = static_cast<size_t>(name.layer);
  sorted.layers[layer].emplace(name.part, &tensor);
  const bool mtp = name.layer >= main_layers || IsMtpTensor(name.part);
  if (mtp && IsMtpCopy(name.part)) {
    spec.mtp_copy_params += tensor.elements;
    spec.mtp_copy_bytes += static_cast<double>(tensor.bytes);
    return {};
  }
  std::optional<TensorClass> c = ClassOfGgufTensor(name);
  if (!c && !mtp) sorted.unknown.insert(std::string(name.part));
  const TensorClass known = c.value_or(TensorClass::kOther);
  WeightSet& target = mtp ? spec.mtp : spec.layers[layer].weights;
  target[known] += WeightsOf(tensor, name.part, known);
  if (!mtp && !tensor.type.integer) sorted.tally[static_cast<size_t>(known)][std::string(tensor.type.name)] += tensor.elements;
  return {};
}

void NameTypes(const Sorted& sorted, ModelSpec& spec) {
  for (size_t c = 0; c < sorted.tally.size(); ++c) {
    int64_t most = 0;
    for (const auto& [type, params] : sorted.tally[c]) {
      if (params <= most) continue;
      most = params;
      spec.type_by_class[c] = type;
    }
  }
  for (const TensorClass c :
       {TensorClass::kRoutedExpert, TensorClass::kDenseFfn, TensorClass::kAttention, TensorClass::kEmbedding}) {
    if (!spec.weight_type.empty()) break;
    spec.weight_type = spec.type_by_class[static_cast<size_t>(c)];
  }
}

Status FillEnds(const GgufFile& file, const GgufKeys& keys, ModelSpec& spec) {
  const GgufTensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr || embedding->dims.size() < 2) return BadInput("tensor 'token_embd.weight' is missing");
  spec.hidden = embedding->dims[0];
  spec.vocab = embedding->dims[1];
  if (const auto hidden = keys.Int("embedding_length"); hidden && *hidden != spec.hidden) {
    return BadInput(
        fmt::format("{} is {}, but 'token_embd.weight' has rows of {}", keys.Name("embedding_length"), *hidden, spec.hidden));
  }
  spec.max_context = keys.Int("context_length");
  spec.tied_embedding = file.FindTensor("output.weight") == nullptr;
  return {};
}

Status CountLayers(const GgufFile& file, const GgufKeys& keys, ModelSpec& spec, int& all_layers) {
  ASSIGN_OR_RETURN(const int64_t blocks, keys.Need("block_count"));
  const int64_t mtp = keys.Int("nextn_predict_layers").value_or(0);
  if (blocks <= 0 || blocks > static_cast<int64_t>(file.tensors.size()) || mtp < 0 || mtp >= blocks) {
    return BadInput(fmt::format("{} is {} with {} MTP layers, but the file has {} tensors", keys.Name("block_count"), blocks,
                                mtp, file.tensors.size()));
  }
  all_layers = static_cast<int>(blocks);
  spec.mtp_layers = static_cast<int>(mtp);
  spec.layers.resize(static_cast<size_t>(blocks - mtp));
  return {};
}

}  // namespace

Result<ModelSpec> SpecFromGguf(const GgufFile& file) {
  const std::optional<std::string> architecture = file.String("general.architecture");
  if (!architecture) return BadInput("the key 'general.architecture' is missing");
  if (const std::string kind = file.String("general.type").value_or("model"); kind != "model") {
    return BadInput(fmt::format("general.type is '{}': not a language model by itself", kind));
  }
  const GgufKeys keys(file, *architecture);
  ModelSpec spec;
  spec.weights_source = "gguf";
  spec.id = file.String("general.name").value_or(*architecture);
  spec.model_type = *architecture;
  int all_layers = 0;
  RETURN_IF_ERROR(CountLayers(file, keys, spec, all_layers));
  RETURN_IF_ERROR(FillEnds(file, keys, spec));

  Sorted sorted;
  sorted.layers.resize(static_cast<size_t>(all_layers));
  const int main_layers = static_cast<int>(spec.layers.size());
  for (const GgufTensor& tensor : file.tensors) RETURN_IF_ERROR(AddTensor(tensor, main_layers, spec, sorted));
  for (int i = 0; i < main_layers; ++i) {
    const auto index = static_cast<size_t>(i);
    if (sorted.layers[index].empty())
      return BadInput(fmt::format("layer {} has no tensors: a part of the model is missing", i));
    RETURN_IF_ERROR(FillFfn(keys, sorted.layers[index], i, spec.layers[index]));
    RETURN_IF_ERROR(FillAttention(keys, sorted.layers[index], i, spec));
  }
  NameTypes(sorted, spec);
  for (const std::string& part : sorted.unknown) {
    spec.notes.push_back(fmt::format("Tensors '{}' are of an unknown kind and count as read in every pass.", part));
  }
  return spec;
}

}  // namespace moecap::model
