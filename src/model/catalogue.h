// The model catalogue: shapes of published models by id, so that a name is enough and no network is needed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::model {

struct CatalogueModel {
  std::string id;                    // "Qwen/Qwen3-30B-A3B"
  std::vector<std::string> aliases;  // checkpoints of the same shapes and precision
  std::string config_json;           // fields of config.json
  std::string config_source;
  std::string config_provenance;  // "verbatim", "reconstructed", "recalled"
  std::optional<double> published_total_params;
  std::optional<double> published_active_params;
  // Exact count of the published checkpoint, what it counts besides the model ("total", "total+mtp", "total+mtp+copies",
  // "total+vision", "total+mtp+integer_tables"), and the known difference to our count (stray tensors; explained in `note`).
  std::optional<int64_t> checkpoint_total_params;
  std::string checkpoint_counts;
  int64_t checkpoint_difference = 0;
  int64_t vision_params = 0;
  int64_t integer_table_entries = 0;
  std::string note;
};

class ModelCatalogue {
 public:
  // Error kBadInput names the entry and what is wrong with it.
  static Result<ModelCatalogue> Parse(std::string_view text);
  // What ships with the program.
  static Result<ModelCatalogue> Builtin();

  const std::vector<CatalogueModel>& models() const& { return models_; }
  const std::vector<CatalogueModel>& models() && = delete;  // would dangle

  // By id or alias, or by the part behind the publisher if only one model has it; letter case does not matter.
  // Error kBadInput with the nearest known id.
  Result<CatalogueModel> Find(std::string_view name) const;

 private:
  std::vector<CatalogueModel> models_;
};

// The shapes of an entry. `id` is what the spec shall be called: the entry's id or one of its aliases.
Result<ModelSpec> SpecOf(const CatalogueModel& entry, std::string_view id);

}  // namespace moecap::model
