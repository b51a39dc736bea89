// What a GPU's counters saw of single decode passes, beside the formula of these very passes: the files of
// results/reference/h200-counters and h200-passes (docs/validation.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

struct CountedPass {
  record::PassRecord pass;
  double formula_bytes = 0;  // in the complete convention, as the program said it of the measured file
  double paper_bytes = 0;    // in the paper's; 0 = not told
  double counted_bytes = 0;  // read and written
  std::optional<double> latency_s;
};

struct CountedShape {
  std::string shape;  // "mixtral-8x7b"
  model::ModelSpec model;
  std::vector<CountedPass> passes;
  std::vector<CountedPass> kernels_of_two_layers;  // counted kernel by kernel, of a file of two layers
};

// The shape that a file of counters names. Error: kBadInput.
Result<std::string> CountedShapeName(std::string_view counters);

// `counters`: the text of such a file; `config`: of the shape's config.json, whose weights are BF16, or MXFP4 experts among
// Q8_0 where the counters say so. Error: kBadInput.
Result<CountedShape> ParseCountedShape(std::string_view counters, std::string_view config);

// Adds the plain latency of each pass with the batch and context of one in the text of a file of latencies. Error: kBadInput.
Status AddLatencies(std::string_view latencies, CountedShape& shape);

}  // namespace moecap::metrics
