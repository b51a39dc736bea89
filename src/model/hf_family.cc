// One row per model_type: which builder and which fields. The only place where publishers' naming differs by table.
#include <algorithm>
#include <array>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

constexpr std::string_view kMoeWidth = "moe_intermediate_size";
constexpr std::string_view kPlainWidth = "intermediate_size";

// Columns: model_type, mixer, GqaOptions, sparsity, expert width, dense width, FfnOptions, norms, final norms, tied, MTP,
// model.
constexpr std::array kFamilies = {
    HfFamily{"llama", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kNone},
    HfFamily{"mistral", BuildGqaMixer, 0, Sparsity::kNone},
    HfFamily{"qwen2", BuildGqaMixer, kBiasQkv, Sparsity::kNone},
    HfFamily{"qwen3", BuildGqaMixer, kQkNormHead | kBiasFlagQkvo, Sparsity::kNone},

    HfFamily{"mixtral", BuildGqaMixer, 0, Sparsity::kAll, kPlainWidth},
    HfFamily{"qwen2_moe", BuildGqaMixer, kBiasQkv, Sparsity::kStep, kMoeWidth, kPlainWidth, kSharedGate},
    HfFamily{"qwen3_moe", BuildGqaMixer, kQkNormHead | kBiasFlagQkvo, Sparsity::kStep},
    HfFamily{"qwen3_next", BuildGatedDeltaMixer, kQkNormHead | kDoubleQuery, Sparsity::kStep, kMoeWidth, kPlainWidth,
             kSharedGate, 2, 1, false, BuildQwenMtp},
    HfFamily{"qwen3_5_moe", BuildGatedDeltaMixer, kQkNormHead | kDoubleQuery, Sparsity::kStep, kMoeWidth, kPlainWidth,
             kSharedGate, 2, 1, false, BuildQwenMtp},
    HfFamily{"deepseek", BuildGqaMixer, 0, Sparsity::kFirstDense},
    HfFamily{"deepseek_v2", BuildMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1, false,
             BuildDeepseekMtp},
    HfFamily{"deepseek_v3", BuildMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1, false,
             BuildDeepseekMtp},
    HfFamily{"kimi_k2", BuildMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1, false,
             BuildDeepseekMtp},
    HfFamily{"glm4_moe_lite", BuildMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1, false,
             BuildDeepseekMtp},
    HfFamily{"mistral4", BuildMlaMixer, 0, Sparsity::kFirstDenseOptional, kMoeWidth, kPlainWidth, kRouterBiasNoaux},
    HfFamily{"deepseek_v32", BuildSparseMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1,
             false, BuildDeepseekMtp},
    HfFamily{"glm_moe_dsa", BuildSparseMlaMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux, 2, 1,
             false, BuildDeepseekMtp},
    HfFamily{"deepseek_v4", BuildCompressedMixer, 0, Sparsity::kAll, kMoeWidth, kPlainWidth, kRouterBias | kHashLayers, 2, 1,
             false, BuildCompressedMtp},
    HfFamily{"glm4_moe", BuildGqaMixer, kBiasFlag | kQkNormHead | kQkNormFlag, Sparsity::kFirstDense, kMoeWidth, kPlainWidth,
             kRouterBias, 2, 1, false, BuildDeepseekMtp},
    HfFamily{"solar_open", BuildGqaMixer, kBiasFlag | kQkNormHead | kQkNormFlag, Sparsity::kFirstDenseOptional, kMoeWidth,
             kPlainWidth, kRouterBias},
    HfFamily{"kimi_linear", BuildKimiMixer, 0, Sparsity::kFirstDense, kMoeWidth, kPlainWidth,
             kRouterBias | kLatentExperts | kResidualScores},
    HfFamily{"gpt_oss", BuildGqaMixer, kBiasQkvo | kSinks, Sparsity::kAll, kPlainWidth, kPlainWidth, kExpertBias},
    HfFamily{"minimax_text_01", BuildLightningMixer, 0, Sparsity::kAll, kPlainWidth},
    HfFamily{"minimax_m2", BuildGqaMixer, kQkNormFull | kQkNormFlag, Sparsity::kAll, kPlainWidth, kPlainWidth, kRouterBiasFlag},
    HfFamily{"minimax_m3", BuildBlockSparseMixer, kQkNormHead | kQkNormFlag, Sparsity::kFrequencyList,
             "moe_intermediate_size|intermediate_size", "dense_intermediate_size", kRouterBiasFlag},
    HfFamily{"llama4", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kLlama4, kPlainWidth, "intermediate_size_mlp", kSharedIsExpert},
    HfFamily{"dbrx", BuildGqaMixer, 0, Sparsity::kAll, "ffn_config.ffn_hidden_size"},
    HfFamily{"grok-1", BuildGqaMixer, 0, Sparsity::kAll, "moe_intermediate_size|intermediate_size", kPlainWidth,
             kDenseBesideFlag, 4},
    HfFamily{"arctic", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kAll, kPlainWidth, kPlainWidth, kDenseBeside | kDenseSquare, 3},
    HfFamily{"phimoe", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 4, 2},
    HfFamily{"olmoe", BuildGqaMixer, kQkNormFull | kBiasFlagQkvo, Sparsity::kAll, kPlainWidth},
    HfFamily{"granitemoe", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 2, 1, true},
    HfFamily{"granitemoehybrid", BuildGraniteMixer, kBiasFlagQkvo, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 2, 1, true},
    HfFamily{"jamba", BuildJambaMixer, 0, Sparsity::kPeriod, kPlainWidth},
    HfFamily{"jetmoe", nullptr, 0, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 2, 1, true, BuildNoMtp, BuildJetMoeModel},
    HfFamily{"hunyuan", BuildHunyuanMixer, kQkNormHead | kQkNormFlag | kBiasFlagQkvo, Sparsity::kAll,
             "moe_intermediate_size|intermediate_size", kPlainWidth, 0, 2, 1, true},
    HfFamily{"hy_v3", BuildGqaMixer, kQkNormHead | kQkNormFlag | kBiasFlagQkvo, Sparsity::kFirstDense, kMoeWidth, kPlainWidth,
             kRouterBias, 2, 1, false, BuildDeepseekMtp},
    HfFamily{"ernie4_5_moe", BuildGqaMixer, 0, Sparsity::kErnie, kMoeWidth, kPlainWidth, kRouterBias, 2, 1, true},
    HfFamily{"longcat_flash", BuildMlaMixer, 0, Sparsity::kAll, "expert_ffn_hidden_size", "ffn_hidden_size",
             kRouterBias | kDenseBeside, 4, 1, false, BuildNoMtp, BuildLongcatModel},
    HfFamily{"bailing_moe", BuildGqaMixer, 0, Sparsity::kFirstDenseOptional},
    HfFamily{"bailing_moe_v2", BuildGqaMixer, kQkNormHead | kQkNormFlag, Sparsity::kFirstDense, kMoeWidth, kPlainWidth,
             kRouterBiasFlag, 2, 1, false, BuildDeepseekMtp},
    HfFamily{"dots1", BuildGqaMixer, kQkNormHead | kBiasFlag, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBiasNoaux},
    HfFamily{"switch_transformers", nullptr, 0, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 2, 1, true, BuildNoMtp,
             BuildSwitchModel},
    HfFamily{"nllb-moe", nullptr, 0, Sparsity::kAll, kPlainWidth, kPlainWidth, 0, 2, 2, true, BuildNoMtp, BuildNllbModel},
    HfFamily{"nemotron_h", nullptr, 0, Sparsity::kAll, kMoeWidth, kPlainWidth, 0, 1, 1, false, BuildNoMtp, BuildNemotronModel},
    HfFamily{"step3_text", BuildFactorizedMixer, 0, Sparsity::kEnum},
    HfFamily{"step3p5", BuildStepMixer, kQkNormHead | kQkNormFlag, Sparsity::kEnum, kMoeWidth, kPlainWidth, kRouterBiasFlag, 2,
             1, false, BuildStepMtp},
    HfFamily{"mimo_v2_flash", BuildMimoMixer, 0, Sparsity::kFrequencyList, kMoeWidth, kPlainWidth,
             kRouterBiasNoaux | kRouterFloat32},
    HfFamily{"gemma4", BuildGemmaMixer, 0, Sparsity::kAll, kMoeWidth, kPlainWidth, kDenseBeside | kGemmaRouter, 7, 1, true},
    HfFamily{"laguna", BuildLagunaMixer, kQkNormHead | kBiasFlagQkvo, Sparsity::kTypes, kMoeWidth, kPlainWidth, kRouterBias},
    HfFamily{"exaone_moe", BuildGqaMixer, kQkNormHead, Sparsity::kFirstDense, kMoeWidth, kPlainWidth, kRouterBias, 2, 1, false,
             BuildExaoneMtp},
    HfFamily{"afmoe", BuildGqaMixer, kQkNormHead | kGateElement, Sparsity::kNumDense, kMoeWidth, kPlainWidth, kRouterBias, 4},
    HfFamily{"lfm2_moe", BuildShortConvMixer, kQkNormHead, Sparsity::kNumDense, kMoeWidth, kPlainWidth, kRouterBiasFlag, 2, 1,
             true},
    HfFamily{"flex_olmo", BuildGqaMixer, kQkNormFull | kBiasFlagQkvo, Sparsity::kAll, kPlainWidth},
    HfFamily{"aria_text", BuildGqaMixer, kBiasFlagQkvo, Sparsity::kAll, "moe_intermediate_size|intermediate_size"},
    HfFamily{"smallthinker", BuildGqaMixer, 0, Sparsity::kAll, "moe_ffn_hidden_size"},
    HfFamily{"qwen3_5", BuildGatedDeltaMixer, kQkNormHead | kDoubleQuery, Sparsity::kNone},
    HfFamily{"inkling_text", BuildInklingMixer, kQkNormHead, Sparsity::kTypes, kMoeWidth, kPlainWidth,
             kRouterBias | kSharedInRouter, 2, 2},
};

// Families of which we know no more than the name, as model_type has it: the most like them.
struct UnreadFamily {
  std::string_view name;
  std::string_view nearest;
};
constexpr std::array kUnread = {
    UnreadFamily{"axk1", "deepseek_v3"},
    UnreadFamily{"bailing_hybrid", "kimi_linear"},
    UnreadFamily{"bailing_moe_linear", "minimax_text_01"},
    UnreadFamily{"bailing_moe_linear_v2", "minimax_text_01"},
    UnreadFamily{"bailing_moe_v2_5", "kimi_linear"},
    UnreadFamily{"bailing_moe_v3", "kimi_linear"},
    UnreadFamily{"bailing_moe_v3_vl", "kimi_linear"},
    UnreadFamily{"bailingmm_moe_v2_lite", "bailing_moe_v2"},
    UnreadFamily{"beam", "qwen3_moe"},
    UnreadFamily{"cohere2_moe", "mixtral"},
    UnreadFamily{"deepseek_v41", "deepseek_v4"},
    UnreadFamily{"diffusion_gemma", "gemma4"},
    UnreadFamily{"dots3_note", "glm_moe_dsa"},
    UnreadFamily{"gigachat3_5", "deepseek_v3"},
    UnreadFamily{"glm5_next", "glm_moe_dsa"},
    UnreadFamily{"grove_moe", "qwen3_moe"},
    UnreadFamily{"hy_v4", "glm_moe_dsa"},
    UnreadFamily{"intern_s2_preview", "qwen3_5_moe"},
    UnreadFamily{"interns1_pro", "qwen3_moe"},
    UnreadFamily{"interns2_mobius", "qwen3_5_moe"},
    UnreadFamily{"iquest_q1", "qwen3_moe"},
    UnreadFamily{"k2_horizon", "qwen3_moe"},
    UnreadFamily{"llada_moe", "olmoe"},
    UnreadFamily{"longcat_flash_ngram", "longcat_flash"},
    UnreadFamily{"mellum", "qwen3_moe"},
    UnreadFamily{"minicpm_moe", "mixtral"},
    UnreadFamily{"moondream3", "mixtral"},
    UnreadFamily{"muse_spark", "qwen3_moe"},
    UnreadFamily{"nemotron_h_puzzle", "nemotron_h"},
    UnreadFamily{"pangu_pro_moe_v2", "qwen2_moe"},
    UnreadFamily{"pangu_ultra_moe", "deepseek_v3"},
    UnreadFamily{"param2moe", "bailing_moe_v2"},
    UnreadFamily{"qwen4_exp", "qwen3_5_moe"},
    UnreadFamily{"sarvam_mla", "deepseek_v3"},
    UnreadFamily{"solar_open2", "solar_open"},
    UnreadFamily{"unlimited_language", "deepseek_v2"},
    UnreadFamily{"xllm", "qwen3_moe"},
    UnreadFamily{"xverse_moe", "deepseek"},
    UnreadFamily{"zaya", "mixtral"},
};

struct Alias {
  std::string_view name;
  std::string_view family;
};

constexpr std::array kAliases = {
    Alias{"qwen3_vl_moe", "qwen3_moe"},
    Alias{"qwen3_vl_moe_text", "qwen3_moe"},
    Alias{"qwen3_5_moe_text", "qwen3_5_moe"},
    Alias{"kimi_k25", "kimi_k2"},
    Alias{"mimo_v2", "mimo_v2_flash"},
    Alias{"mimo_v2_omni", "mimo_v2_flash"},
    Alias{"aria", "aria_text"},
    Alias{"deepseek_ocr", "deepseek_v2"},
    Alias{"deepseek_ocr2", "deepseek_v2"},
    Alias{"deepseek_vl_v2", "deepseek_v2"},
    Alias{"dots_vlm", "deepseek_v3"},
    Alias{"dots_vlm1", "deepseek_v3"},
    Alias{"ernie4_5_moe_vl", "ernie4_5_moe"},
    Alias{"ernie4_5_vl_moe", "ernie4_5_moe"},
    Alias{"ernie4_5_vl_moe_text", "ernie4_5_moe"},
    Alias{"glm4v_moe", "glm4_moe"},
    Alias{"glm4v_moe_text", "glm4_moe"},
    Alias{"gigachat3", "deepseek_v3"},
    Alias{"hunyuan_moe_v1", "hunyuan"},
    Alias{"kimi_vl", "deepseek_v3"},
    Alias{"llada2_moe", "bailing_moe_v2"},
    Alias{"minimax_vl_01", "minimax_text_01"},
    Alias{"ministral3", "mistral"},
    Alias{"mistral_large_3", "deepseek_v3"},
    Alias{"qwen3_5_text", "qwen3_5"},
    Alias{"qwen3_omni_moe", "qwen3_moe"},
    Alias{"qwen3_omni_moe_text", "qwen3_moe"},
    Alias{"qwen3_omni_moe_thinker", "qwen3_moe"},
    Alias{"sarvam_moe", "bailing_moe_v2"},
    Alias{"sdar_moe", "qwen3_moe"},
    Alias{"step3_vl", "step3_text"},
    Alias{"step3p7", "step3p5"},
    Alias{"minimax_m3_vl", "minimax_m3"},
    Alias{"minimax_m3_text", "minimax_m3"},
    Alias{"minimax_m3_sparse", "minimax_m3"},
    Alias{"kimi_k3", "kimi_linear"},
    Alias{"minimax_m1", "minimax_text_01"},
    Alias{"MiniMaxText01", "minimax_text_01"},
    Alias{"MiniMaxM1", "minimax_text_01"},
    Alias{"minimax", "minimax_text_01"},
    Alias{"llama4_text", "llama4"},
    Alias{"grok", "grok-1"},
    Alias{"granitemoeshared", "granitemoe"},
    Alias{"hunyuan_v1_moe", "hunyuan"},
    Alias{"nllb_moe", "nllb-moe"},
    Alias{"step3", "step3_text"},
    Alias{"gemma4_text", "gemma4"},
    Alias{"inkling", "inkling_text"},
};

}  // namespace

const HfFamily* FindHfFamily(std::string_view model_type) {
  for (const Alias& alias : kAliases) {
    if (alias.name == model_type) model_type = alias.family;
  }
  const auto* found =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const HfFamily& family) { return family.model_type == model_type; });
  return found == kFamilies.end() ? nullptr : found;
}

std::string_view NearestOfUnread(std::string_view name) {
  const auto* found = std::ranges::find(kUnread, name, &UnreadFamily::name);
  return found == kUnread.end() ? std::string_view() : found->nearest;
}

std::vector<std::string> UnreadFamilyNames() {
  std::vector<std::string> names;
  for (const UnreadFamily& family : kUnread) names.emplace_back(family.name);
  return names;
}

std::vector<std::string> HfFamilyNames() {
  std::vector<std::string> names;
  for (const HfFamily& family : kFamilies) names.emplace_back(family.model_type);
  for (const Alias& alias : kAliases) names.emplace_back(alias.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace moecap::model
