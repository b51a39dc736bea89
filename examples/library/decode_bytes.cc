// What a decode pass of a published model reads at growing batches, and what it would read if all experts were active.
#include <metrics/pass_cost.h>
#include <model/catalogue.h>
#include <routing/estimate.h>

#include <algorithm>
#include <cstdio>

int main(int argc, char** argv) {
  using namespace moecap;
  const auto catalogue = model::ModelCatalogue::Builtin();
  if (!catalogue.ok()) return std::fprintf(stderr, "%s\n", catalogue.error().message.c_str()), 1;
  const auto entry = catalogue->Find(argc > 1 ? argv[1] : "Qwen/Qwen3-30B-A3B");
  if (!entry.ok()) return std::fprintf(stderr, "%s\n", entry.error().message.c_str()), 2;
  const auto spec = model::SpecOf(*entry, entry->id);
  if (!spec.ok()) return std::fprintf(stderr, "%s\n", spec.error().message.c_str()), 1;

  const auto moe = std::ranges::find_if(spec->layers, [](const model::LayerSpec& layer) { return layer.ffn.moe(); });
  if (moe == spec->layers.end()) return std::fprintf(stderr, "%s has no experts\n", spec->id.c_str()), 2;

  std::printf("%s\n%6s %12s %12s\n", entry->id.c_str(), "batch", "GB read", "GB vanilla");
  for (const int batch : {1, 4, 16, 64}) {
    record::PassRecord pass;
    pass.sequences.assign(static_cast<size_t>(batch), {.context_tokens = 1024, .new_tokens = 1});
    pass.distinct_experts = {routing::DistinctExpertsBetaBinomial(moe->ffn.experts, moe->ffn.top_k, batch)};
    const auto read = metrics::PassBytes(*spec, pass, metrics::Convention::kComplete);
    const auto all = metrics::PassBytes(*spec, pass, metrics::Convention::kVanilla);
    if (!read || !all) return std::fprintf(stderr, "the model's experts are not known\n"), 1;
    std::printf("%6d %12.2f %12.2f\n", batch, *read / 1e9, *all / 1e9);
  }
}
