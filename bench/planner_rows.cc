#include "planner_rows.h"

#include <algorithm>
#include <cstdlib>

#include "base/fs.h"
#include "model/kv_format.h"
#include "model/quantization.h"
#include "model/weight_format.h"

namespace moecap::bench {
namespace {

using model::TensorClass;
using planner::Observation;

struct Family {
  const char* mark;  // in the row's model_path
  const char* id;    // in the model catalogue
};
// Models of one shape count as one: a fold leaves all of them out.
constexpr Family kFamilies[] = {{"DeepSeek-R1", "deepseek-ai/DeepSeek-R1"}, {"DeepSeek-V3", "deepseek-ai/DeepSeek-R1"},
                                {"MiniMax-M2", "MiniMaxAI/MiniMax-M2.5"},   {"gpt-oss-120b", "openai/gpt-oss-120b"},
                                {"Kimi-K2.5", "moonshotai/Kimi-K2.5"},      {"Qwen3-235B", "Qwen/Qwen3-235B-A22B"},
                                {"Qwen3.5-397B", "Qwen/Qwen3.5-397B-A17B"}, {"GLM-5", "zai-org/GLM-5"}};
struct Gpu {
  const char* name;  // in the rows
  const char* id;    // in the device catalogue
  double usd_per_h;  // three years' rental (InferenceX's constants, 2026): what the choices are judged with
};
constexpr Gpu kGpus[] = {{"h100_sxm", "h100-sxm", 1.30}, {"h200_sxm", "h200-sxm", 1.60}, {"b200_sxm", "b200-sxm", 2.90},
                         {"b300_sxm", "b300-sxm", 3.48}, {"gb200", "gb200", 3.30},       {"gb300", "gb300", 3.96}};

// What the named checkpoints store: NVFP4 ones quantise the routed experts and keep the rest in bf16. vLLM keeps the KV cache
// in the model's type, TensorRT-LLM and SGLang were run with fp8.
Result<model::ModelSpec> SpecOfRow(SiliconSample& sample, const std::string& id, const std::string& precision,
                                   const std::string& backend) {
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, sample.models.Find(id));
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::SpecOf(entry, id));
  if (precision == "fp4" && spec.type_by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] != "mxfp4") {
    model::ApplyWeightChoice(spec, *model::WeightChoiceByName("bf16"));
    model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "nvfp4", 4.5);
  }
  const double bits = spec.ByClass()[TensorClass::kRoutedExpert].BitsPerWeight();
  if (precision == "fp8" && bits > 9) model::ApplyWeightChoice(spec, *model::WeightChoiceByName("fp8"));
  if (precision == "int4" && bits > 5) model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "int4", 4.5);
  RETURN_IF_ERROR(model::ApplyKvFormat(spec, backend == "vllm" ? "bf16" : "fp8"));
  return spec;
}

// SGLang on Blackwell was started to look for new requests every 10 decode steps, from 16 clients on every 30
// (--scheduler-recv-interval of InferenceX's launch scripts, benchmarks/single_node, 2026); on Hopper and with data-parallel
// attention at every step.
double PollSteps(const Observation& o, const std::string& gpu) {
  if (o.system != "sglang" || gpu.starts_with("h") || o.deployment.data > 1) return 1;
  return *o.load.clients >= 16 ? 30 : 10;
}

int IntegerOf(const std::string& text) { return text.empty() ? 0 : std::atoi(text.c_str()); }

class Reader {
 public:
  Reader(SiliconSample& sample, const std::vector<std::string>& header) : sample_(sample), header_(header) {}

  Status Read(const std::vector<std::string>& cells) {
    const auto at = [&](const char* name) { return cells[Column(name)]; };
    const Family* const family = FamilyOf(at("model_path"));
    const Gpu* const gpu = GpuOf(at("system"));
    const std::string source = at("silicon_data_source");
    const size_t clients_at = source.find("silicon_concurrency=");
    if (!family || !gpu || at("mode") != "agg") return {};
    if (IntegerOf(at("tp_size")) > 8 || source.find("wip=True") != std::string::npos || clients_at == std::string::npos ||
        at("silicon_tpot_ms").empty()) {
      ++sample_.left_out;
      return {};
    }
    SiliconRow row;
    row.id = at("id");
    row.model = at("model_path");
    row.family = family->id;
    row.gpu = gpu->name;
    row.precision = at("precision");
    Observation& o = row.observation;
    o.system = at("backend");
    o.deployment = {IntegerOf(at("tp_size")), std::max(1, IntegerOf(at("moe_ep_size"))), 1,
                    std::max(1, IntegerOf(at("attention_dp_size")))};
    o.load.clients = std::atof(source.c_str() + clients_at + 20);
    o.load.input_tokens = std::atof(at("isl").c_str());
    o.load.output_tokens = std::atof(at("osl").c_str());
    o.poll_steps = PollSteps(o, row.gpu);
    o.ttft_s = std::atof(at("silicon_ttft_ms").c_str()) / 1e3;
    o.tpot_s = std::atof(at("silicon_tpot_ms").c_str()) / 1e3;
    row.usd_per_h = gpu->usd_per_h * static_cast<double>(o.deployment.Devices());
    return Place(std::move(row), family->id, gpu->id);
  }

 private:
  Status Place(SiliconRow row, const std::string& id, const std::string& gpu) {
    Observation& o = row.observation;
    const std::string key = id + "|" + row.precision + "|" + o.system;
    if (!sample_.works.count(key)) {
      ASSIGN_OR_RETURN(model::ModelSpec spec, SpecOfRow(sample_, id, row.precision, o.system));
      sample_.works.emplace(key, planner::MakeModelWork(spec));
      sample_.specs.emplace(key, std::move(spec));
    }
    if (!sample_.gpus.count(gpu)) {
      ASSIGN_OR_RETURN(hardware::Device device, sample_.devices.FindDevice(gpu));
      sample_.gpus.emplace(gpu, std::move(device));
    }
    o.work = &sample_.works.at(key);
    o.device = &sample_.gpus.at(gpu);
    o.fabric = planner::FabricOf(*o.device, sample_.devices);
    if (!Validate(o.deployment, sample_.specs.at(key)).ok()) {
      ++sample_.left_out;
      return {};
    }
    const auto memory = planner::PlanMemory(sample_.specs.at(key), o.deployment, static_cast<int64_t>(o.load.MeanContext()));
    o.most_sequences = memory.MostSequences(planner::UsableMemory(*o.device));
    (o.deployment.data == 1 ? sample_.rows : sample_.wide).push_back(std::move(row));
    return {};
  }

  size_t Column(const std::string& name) const {
    return static_cast<size_t>(std::find(header_.begin(), header_.end(), name) - header_.begin());
  }
  static const Family* FamilyOf(const std::string& path) {
    for (const Family& family : kFamilies) {
      if (path.find(family.mark) != std::string::npos) return &family;
    }
    return nullptr;
  }
  static const Gpu* GpuOf(const std::string& name) {
    for (const Gpu& gpu : kGpus) {
      if (name == gpu.name) return &gpu;
    }
    return nullptr;
  }

  SiliconSample& sample_;
  const std::vector<std::string>& header_;
};

}  // namespace

std::vector<std::string> SplitCells(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == separator) {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

Status ReadSiliconSample(const std::string& path, const std::set<std::string>& known, SiliconSample& sample) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::vector<std::string> lines = SplitCells(text, '\n');
  const std::vector<std::string> header = SplitCells(lines.front(), ',');
  Reader reader(sample, header);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = SplitCells(lines[i], ',');
    if (cells.size() == header.size() && !known.contains(cells.front())) RETURN_IF_ERROR(reader.Read(cells));
  }
  return sample.rows.empty() ? Status(BadInput(path + ": no rows of MoE models")) : Status();
}

Result<std::set<std::string>> IdsOfSiliconSample(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::set<std::string> ids;
  for (const std::string& line : SplitCells(text, '\n')) ids.insert(line.substr(0, line.find(',')));
  return ids;
}

}  // namespace moecap::bench
