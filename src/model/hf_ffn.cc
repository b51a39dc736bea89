// Dense and mixture-of-experts FFN parts, and which layers have which.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

using enum TensorClass;

bool Contains(const std::vector<int64_t>& list, int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool IsSparseByFirstDense(HfContext& context, int layer, bool required) {
  HfFields& f = context.f;
  if (const std::vector<std::string> types = f.Words("mlp_layer_types"); !types.empty()) {
    f.NeedLength("mlp_layer_types", types.size(), static_cast<size_t>(context.layers));
    return static_cast<size_t>(layer) < types.size() && types[static_cast<size_t>(layer)] == "sparse";
  }
  if (const std::vector<int64_t> flags = f.Numbers("is_moe_layer"); !flags.empty()) {
    f.NeedLength("is_moe_layer", flags.size(), static_cast<size_t>(context.layers));
    return static_cast<size_t>(layer) < flags.size() && flags[static_cast<size_t>(layer)] != 0;
  }
  if (required && !f.Has("first_k_dense_replace")) f.Fail("the field 'first_k_dense_replace' is missing");
  const int64_t step = std::max<int64_t>(f.Optional({"moe_layer_freq"}, 1), 1);
  return layer >= f.Optional({"first_k_dense_replace"}, 0) && layer % step == 0;
}

bool IsSparseByRange(HfContext& context, int layer) {
  HfFields& f = context.f;
  const Json* end = f.Find("moe_layer_end_index");
  const bool to_the_end = end == nullptr || (end->is_number() && end->get<double>() < 0);
  const int64_t last = to_the_end ? context.layers - 1 : f.Need({"moe_layer_end_index"});
  const int64_t interval = std::max<int64_t>(f.Optional({"moe_layer_interval"}, 1), 1);
  return layer >= f.Optional({"moe_layer_start_index"}, 0) && layer <= last && (layer + 1) % interval == 0;
}

// Width of all shared experts together; 0 = none. Keys and meanings differ by publisher.
int64_t SharedWidth(HfContext& context, int layer, int64_t expert_width, int& count) {
  HfFields& f = context.f;
  if ((context.family.ffn & kSharedIsExpert) != 0) {
    count = 1;
    return expert_width;
  }
  const int64_t absolute =
      f.Optional({"shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "share_expert_dim"}, 0);
  const int64_t number =
      f.Optional({"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"}, 0, layer);
  if (absolute > 0) {
    count = static_cast<int>(std::max<int64_t>(number, 1));
    return absolute;
  }
  if (const int64_t each = f.Optional({"shared_intermediate_size"}, 0); each > 0) {
    count = static_cast<int>(std::max<int64_t>(number, 1));
    return each * count;
  }
  count = static_cast<int>(number);
  return number * expert_width;
}

bool HasRouterBias(HfContext& context, int layer) {
  HfFields& f = context.f;
  const uint32_t options = context.family.ffn;
  if ((options & kHashLayers) != 0 && layer < f.Optional({"num_hash_layers"}, 0)) return false;
  if ((options & kRouterBias) != 0) return true;
  if ((options & kRouterBiasNoaux) != 0) return f.Text("topk_method") == "noaux_tc";
  if ((options & kRouterBiasFlag) == 0) return false;
  for (const char* flag : {"use_routing_bias", "use_expert_bias", "moe_router_enable_expert_bias", "use_moe_router_bias"}) {
    if (f.Flag(flag, false)) return true;
  }
  return false;
}

void AddRouter(HfContext& context, int layer, int64_t experts, FfnSpec& ffn, HfWeights& weights) {
  HfFields& f = context.f;
  const uint32_t options = context.family.ffn;
  ffn.zero_experts = static_cast<int>(f.Optional({"zero_expert_num"}, 0));
  int64_t scored = experts + ffn.zero_experts;
  if ((options & kSharedInRouter) != 0) scored += ffn.shared_experts;
  if ((options & kRouterFloat32) != 0) {
    weights.Plain(kRouter, scored, context.hidden, 1, 32);
  } else {
    weights.Matrix(kRouter, "mlp.gate", scored, context.hidden);
  }
  if ((options & kSharedInRouter) != 0) weights.Vector(kRouter, 1);
  if (HasRouterBias(context, layer)) weights.Vector(kRouter, experts + ffn.zero_experts, 32);
  if ((options & kExpertBias) != 0) weights.Vector(kRouter, experts);
  if ((options & kGemmaRouter) != 0) weights.Vector(kRouter, context.hidden + experts);
}

// Experts that work on a narrower vector: down before, up after, a norm between.
int64_t AddLatent(HfContext& context, HfWeights& weights) {
  if ((context.family.ffn & kLatentExperts) == 0 || !context.f.Has("routed_expert_hidden_size")) return context.hidden;
  const int64_t latent = context.f.Need({"routed_expert_hidden_size"});
  weights.Plain(kOther, latent, context.hidden);
  weights.Plain(kOther, context.hidden, latent);
  if (context.f.Flag("latent_moe_use_norm", true)) weights.Vector(kNorm, latent);
  return latent;
}

int64_t FieldByNames(HfContext& context, std::string_view names, int layer) {
  // "a|b": the first present.
  const size_t bar = names.find('|');
  const std::string_view first = names.substr(0, bar);
  if (bar == std::string_view::npos || context.f.Has(first)) return context.f.Need({first}, layer);
  return context.f.Need({names.substr(bar + 1)}, layer);
}

void AddDense(HfContext& context, LayerSpec& spec, HfWeights& weights) {
  const bool square = (context.family.ffn & kDenseSquare) != 0;
  spec.ffn.dense_width = square ? context.hidden : FieldByNames(context, context.family.dense_width, 0);
  weights.SwiGlu(kDenseFfn, "mlp", context.hidden, spec.ffn.dense_width);
}

}  // namespace

bool IsMoeLayer(HfContext& context, int layer) {
  HfFields& f = context.f;
  switch (context.family.sparsity) {
    case Sparsity::kNone:
      return false;
    case Sparsity::kAll:
      return true;
    case Sparsity::kStep:
      return !Contains(f.Numbers("mlp_only_layers"), layer) &&
             (layer + 1) % std::max<int64_t>(f.Optional({"decoder_sparse_step"}, 1), 1) == 0;
    case Sparsity::kFirstDense:
      return IsSparseByFirstDense(context, layer, true);
    case Sparsity::kFirstDenseOptional:
      return IsSparseByFirstDense(context, layer, false);
    case Sparsity::kLlama4:
      if (f.Has("moe_layers")) return Contains(f.Numbers("moe_layers"), layer);
      return (layer + 1) % f.Need({"interleave_moe_layer_step"}) == 0;
    case Sparsity::kPeriod:
      return layer % f.Need({"expert_layer_period"}) == f.Optional({"expert_layer_offset"}, 0);
    case Sparsity::kErnie:
      return IsSparseByRange(context, layer);
    case Sparsity::kNumDense:
      if (!f.Has("num_dense_layers")) f.Fail("the field 'num_dense_layers' is missing");
      return layer >= f.Optional({"num_dense_layers"}, 0);
    case Sparsity::kTypes: {
      const std::vector<std::string> types = f.Words("mlp_layer_types");
      f.NeedLength("mlp_layer_types", types.size(), static_cast<size_t>(context.layers));
      return static_cast<size_t>(layer) < types.size() && types[static_cast<size_t>(layer)] == "sparse";
    }
    case Sparsity::kEnum: {
      const std::vector<int64_t> sparse = f.Numbers("moe_layers_enum");
      if (sparse.empty()) f.Fail("the field 'moe_layers_enum' is missing");
      return Contains(sparse, layer);
    }
    case Sparsity::kFrequencyList: {
      const std::vector<int64_t> flags = f.Numbers("moe_layer_freq");
      f.NeedLength("moe_layer_freq", flags.size(), static_cast<size_t>(context.layers));
      return static_cast<size_t>(layer) < flags.size() && flags[static_cast<size_t>(layer)] != 0;
    }
  }
  return false;
}

void BuildFfn(HfContext& context, int layer, bool moe, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const uint32_t options = context.family.ffn;
  if (!moe) return AddDense(context, spec, weights);
  FfnSpec& ffn = spec.ffn;
  ffn.experts = static_cast<int>(f.Need({"num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts",
                                         "moe_num_primary_experts", "ffn_config.moe_num_experts"}));
  ffn.top_k = static_cast<int>(
      f.Need({"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_k", "moe_top_k",
              "top_k_experts", "moe_num_active_primary_experts", "ffn_config.moe_top_k", "num_selected_experts"},
             layer));
  if (ffn.top_k > ffn.experts) f.Fail(fmt::format("{} experts per token, but only {} experts", ffn.top_k, ffn.experts));
  // ERNIE's lists hold the text experts' value, then the vision experts'.
  const int entry = context.family.sparsity == Sparsity::kErnie ? 0 : layer;
  ffn.expert_width = FieldByNames(context, context.family.expert_width, entry);
  ffn.shared_width = SharedWidth(context, layer, ffn.expert_width, ffn.shared_experts);
  AddRouter(context, layer, ffn.experts, ffn, weights);
  const int64_t hidden = AddLatent(context, weights);
  weights.SwiGlu(kRoutedExpert, "mlp.experts.0", hidden, ffn.expert_width, ffn.experts);
  if ((options & kExpertBias) != 0) {
    weights.Vector(kRoutedExpert, ffn.experts * (2 * ffn.expert_width + hidden));
  }
  if (ffn.shared_width > 0) {
    const bool absolute = f.Has("shared_expert_intermediate_size");
    weights.SwiGlu(kSharedExpert, absolute ? "mlp.shared_expert" : "mlp.shared_experts", context.hidden, ffn.shared_width);
    if ((options & kSharedGate) != 0) weights.Vector(kSharedExpert, context.hidden);
  }
  const bool beside = (options & kDenseBeside) != 0 || ((options & kDenseBesideFlag) != 0 && f.Flag("residual_moe", false));
  if (beside) AddDense(context, spec, weights);
}

}  // namespace moecap::model
