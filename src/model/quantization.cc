#include "model/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/nearest_word.h"
#include "model/json_at.h"
#include "model/quantization_methods.h"

namespace moecap::model {
namespace {

// The method of a quantization_config that does not name one: who wrote it shows in its keys.
std::string MethodByKeys(const Json& quantization) {
  const Json* producer = ObjectAt(quantization, "producer");
  if (producer != nullptr && LowerCase(TextAt(*producer, "name")) == "modelopt") return "modelopt";
  if (!TextAt(quantization, "quant_algo").empty() || ObjectAt(quantization, "quantization") != nullptr) return "modelopt";
  if (ObjectAt(quantization, "config_groups") != nullptr) return "compressed-tensors";
  if (ObjectAt(quantization, "global_quant_config") != nullptr) return "quark";
  if (ValueAt(quantization, "load_in_4bit") != nullptr || ValueAt(quantization, "load_in_8bit") != nullptr)
    return "bitsandbytes";
  if (ValueAt(quantization, "w_bit") != nullptr) return "awq";
  if (ValueAt(quantization, "desc_act") != nullptr) return "gptq";
  const bool grouped = ValueAt(quantization, "bits") != nullptr && ValueAt(quantization, "group_size") != nullptr;
  if (grouped) return "mlx";
  return "";
}

// Suffixes under which scales are stored; a module with one of them is quantised.
constexpr std::array kScaleSuffixes = {"weight_scale", "weight_scale_inv", "scales", "qweight", "weight_packed",
                                       "scale",        "weight_scale_2"};

// Modules that checkpoints list among the exceptions although they are no matrices that a config could quantise.
bool IsNeverQuantised(std::string_view pattern) {
  constexpr std::array kParts = {"norm", "rotary", "bias", "conv", "embed", "compressor", "hc_", "latent"};
  constexpr std::array kComponents = {
      "gate", "router", "lm_head", "head", "score", "eh_proj", "A_log", "sinks", "shared_expert_gate", "weights_proj"};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return pattern.find(part) != std::string_view::npos; }) ||
         std::ranges::any_of(ModuleComponents(pattern), [&](std::string_view component) {
           while (component.ends_with('*') || component.ends_with('$')) component.remove_suffix(1);
           return std::ranges::find(kComponents, component) != kComponents.end();
         });
}

}  // namespace

int QuantizationRules::Add(WeightFormat format) {
  formats.push_back(std::move(format));
  return static_cast<int>(formats.size()) - 1;
}

void QuantizationRules::SetLinear(int format) {
  for (const TensorClass c :
       {TensorClass::kAttention, TensorClass::kRoutedExpert, TensorClass::kSharedExpert, TensorClass::kDenseFfn}) {
    by_class[static_cast<size_t>(c)] = format;
  }
}

void StoredModules::Add(std::string_view tensor) {
  const size_t dot = tensor.rfind('.');
  if (dot == std::string_view::npos) return;
  const std::string_view suffix = tensor.substr(dot + 1);
  std::string module = CanonicalModule(tensor.substr(0, dot));
  bool scale = std::ranges::find(kScaleSuffixes, suffix) != kScaleSuffixes.end();
  if (suffix.ends_with("_scales") || suffix.ends_with("_scale_inv") || suffix.ends_with("_scale")) {
    scale = true;
    // "experts.gate_up_proj_scales": the projection is part of the parameter's own name.
    if (suffix.find("proj_") != std::string_view::npos) {
      module =
          CanonicalModule(std::string(tensor.substr(0, dot + 1)) + std::string(suffix.substr(0, suffix.rfind("proj_") + 4)));
    }
  } else if (suffix == "gate_up_proj" || suffix == "down_proj") {
    module = CanonicalModule(tensor);
  } else if (!scale && suffix != "weight") {
    return;
  }
  quantised_[module] = quantised_[module] || scale;
}

std::optional<bool> StoredModules::IsQuantised(const std::string& canonical) const {
  for (const std::string& spelling : FusedSpellings(canonical)) {
    if (const auto found = quantised_.find(spelling); found != quantised_.end()) return found->second;
  }
  return std::nullopt;
}

Result<WeightFormats> WeightFormats::Plain(std::string_view dtype) {
  WeightFormats formats;
  ASSIGN_OR_RETURN(formats.rules_.plain, PlainFormat(dtype));
  formats.rules_.compute_type = formats.rules_.plain.label;
  return formats;
}

Result<WeightFormats> WeightFormats::FromConfig(const Json& quantization, std::string_view dtype,
                                                std::string_view expert_dtype) {
  ASSIGN_OR_RETURN(WeightFormats formats, Plain(dtype));
  if (!quantization.is_object()) return BadInput("quantization_config is not an object");
  std::string name = LowerCase(TextAt(quantization, "quant_method"));
  if (name.empty()) name = MethodByKeys(quantization);
  if (name.empty())
    return BadInput(
        fmt::format("the field 'quantization_config.quant_method' is missing; methods known: {}", KnownQuantizationMethods()));
  const QuantizationMethod* method = FindQuantizationMethod(name);
  if (method == nullptr) {
    const std::string nearest = NearestWord(name, QuantizationMethodNames());
    return BadInput(fmt::format(
        "quantization_config.quant_method '{}' is not known{}; known are {}. --precision says how the weights are served", name,
        nearest.empty() ? "" : fmt::format(" (is it like '{}'?)", nearest), KnownQuantizationMethods()));
  }
  QuantizationRules& rules = formats.rules_;
  RETURN_IF_ERROR(method->read(quantization, rules));
  RETURN_IF_ERROR(ReadKvScheme(quantization, rules));
  for (const char* key : {"modules_to_not_convert", "exclude_modules", "ignore", "ignored_layers", "exclude", "exclude_layers",
                          "llm_int8_skip_modules", "skip_modules", "ignored_modules"}) {
    RETURN_IF_ERROR(ReadModuleList(quantization, key, kPlain, rules.excluded));
  }
  // What the experts are stored in: the most special statement counts.
  const std::string algorithm = TextAt(quantization, "moe_quant_algo");
  const std::string own = LowerCase(TextAt(quantization, "expert_dtype"));
  const std::string experts = !own.empty() ? own : name == "fp8" ? LowerCase(expert_dtype) : "";
  int& routed = rules.by_class[static_cast<size_t>(TensorClass::kRoutedExpert)];
  if (!algorithm.empty()) {
    const auto format = FormatByAlgorithm(algorithm, IntAt(quantization, "group_size", 0));
    if (!format) {
      return BadInput(fmt::format("quantization_config.moe_quant_algo '{}' is not known; known are {}", algorithm,
                                  fmt::join(KnownAlgorithms(), ", ")));
    }
    routed = rules.Add(format->format);
  } else if (experts == "fp4" || experts == "mxfp4") {
    routed = rules.Add(kMxfp4);
  } else if (experts == "nvfp4") {
    routed = rules.Add(kNvfp4);
  } else if (experts == "bf16" || experts == "bfloat16") {
    routed = kPlain;
  } else if (!experts.empty() && experts != "fp8") {
    return BadInput(fmt::format("the field 'expert_dtype' is '{}', not one of fp4, mxfp4, nvfp4, fp8, bf16", experts));
  }
  if (rules.compute_type.empty()) rules.compute_type = rules.plain.label;
  return formats;
}

int WeightFormats::RuledFormat(TensorClass c, const std::string& canonical) {
  if (rules_.excluded.Find(canonical)) return kPlain;
  if (const std::optional<int> named = rules_.named.Find(canonical)) return *named;
  return rules_.by_class[static_cast<size_t>(c)];
}

const WeightFormat& WeightFormats::Of(TensorClass c, std::string_view module) {
  if (rules_.formats.empty()) return rules_.plain;
  const std::string canonical = CanonicalModule(module);
  const int ruled = RuledFormat(c, canonical);
  const std::optional<bool> stored = stored_ == nullptr ? std::nullopt : stored_->IsQuantised(canonical);
  if (stored && *stored != (ruled != kPlain)) {
    ++(*stored ? stored_quantised_ : stored_plain_);
    if (stored_example_.empty()) stored_example_ = canonical;
    return *stored ? rules_.formats.front() : rules_.plain;
  }
  return ruled == kPlain ? rules_.plain : rules_.formats[static_cast<size_t>(ruled)];
}

std::vector<std::string> WeightFormats::Notes() const {
  std::vector<std::string> notes;
  if (stored_plain_ + stored_quantised_ > 0) {
    notes.push_back(
        fmt::format("config.json and the checkpoint's tensor names disagree: {} matrices that the config calls quantised are "
                    "stored without scales, {} the other way round (e.g. {}). The tensors are believed.",
                    stored_plain_, stored_quantised_, stored_example_));
  }
  std::vector<std::string> unmatched;
  for (const ModulePatterns* patterns : {&rules_.excluded, &rules_.named}) {
    for (const std::string& text : patterns->Unmatched()) {
      const bool expected = NamesTower(text) || NamesMtp(text) || (patterns == &rules_.excluded && IsNeverQuantised(text)) ||
                            text.find("vis") != std::string::npos || text.find("audio") != std::string::npos;
      if (!expected) unmatched.push_back(text);
    }
  }
  if (!unmatched.empty()) {
    notes.push_back(
        fmt::format("{} pattern{} of quantization_config match{} no module of the text model, e.g. '{}': what {} "
                    "names is counted as if {} were not there.",
                    unmatched.size(), unmatched.size() == 1 ? "" : "s", unmatched.size() == 1 ? "es" : "", unmatched.front(),
                    unmatched.size() == 1 ? "it" : "they", unmatched.size() == 1 ? "it" : "they"));
  }
  return notes;
}

std::string KnownQuantizationMethods() { return fmt::format("{}", fmt::join(QuantizationMethodNames(), ", ")); }

}  // namespace moecap::model
