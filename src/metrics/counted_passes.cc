#include "metrics/counted_passes.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "base/json_error.h"
#include "model/hf_config.h"

namespace moecap::metrics {
namespace {

using model::TensorClass;

std::vector<CountedPass> PassesIn(const Json& document, const char* key) {
  std::vector<CountedPass> all;
  for (const Json& entry : document.at(key)) {
    CountedPass counted;
    counted.pass.kind = record::PassKind::kDecode;
    counted.pass.sequences = {{entry.value("context_tokens", int64_t{64}), 1, entry.at("batch").get<int64_t>()}};
    entry.at("distinct_experts").get_to(counted.pass.distinct_experts);
    for (const auto& [term, bytes] : entry.at("bytes").items()) counted.formula_bytes += bytes.get<double>();
    counted.paper_bytes = entry.value("paper_bytes", 0.0);
    counted.counted_bytes = entry.at("counted").at("read").get<double>() + entry.at("counted").at("written").get<double>();
    all.push_back(std::move(counted));
  }
  return all;
}

// Runs `read` on the JSON of `text`; the library's exceptions stop here.
template <typename Read>
Status WithJson(std::string_view text, Read read) {
  ASSIGN_OR_RETURN(const Json document, ParseJson(text));
  try {
    return read(document);
  } catch (const Json::exception& error) {
    return BadInput(ReasonOf(error));
  }
}

}  // namespace

Result<std::string> CountedShapeName(std::string_view counters) {
  std::string name;
  RETURN_IF_ERROR(WithJson(counters, [&](const Json& document) -> Status {
    document.at("shape").get_to(name);
    return {};
  }));
  return name;
}

Result<CountedShape> ParseCountedShape(std::string_view counters, std::string_view config) {
  CountedShape shape;
  RETURN_IF_ERROR(WithJson(counters, [&](const Json& document) -> Status {
    document.at("shape").get_to(shape.shape);
    ASSIGN_OR_RETURN(shape.model, model::SpecFromConfigText(config, shape.shape));
    const auto layers = document.at("layers").get<size_t>();
    if (layers == 0 || layers > shape.model.layers.size())
      return BadInput("\"layers\" are not as many as the shape's config.json has, or fewer");
    shape.model.layers.resize(layers);
    if (document.at("weights") == "MXFP4") {
      for (const TensorClass c : {TensorClass::kAttention, TensorClass::kHead, TensorClass::kEmbedding})
        SetWeightPrecision(shape.model, c, "Q8_0", 8.5);
    }
    shape.passes = PassesIn(document, "passes");
    shape.kernels_of_two_layers = PassesIn(document, "kernels_of_two_layers");
    return {};
  }));
  return shape;
}

Status AddLatencies(std::string_view latencies, CountedShape& shape) {
  return WithJson(latencies, [&](const Json& document) -> Status {
    for (const Json& entry : document.at("latencies").at("recording")) {
      const auto batch = entry.at("batch").get<int64_t>();
      const auto context = entry.at("context_tokens").get<int64_t>();
      for (CountedPass& counted : shape.passes) {
        const record::SequenceSlice& slice = counted.pass.sequences.front();
        if (slice.count == batch && slice.context_tokens == context)
          counted.latency_s = entry.at("recording").at("plain_s").get<double>();
      }
    }
    return {};
  });
}

}  // namespace moecap::metrics
