#include "planner_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

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

// The KV cache as the launch scripts of the rows' source have it (InferenceX, benchmarks/single_node, April 2026): TensorRT-LLM
// and SGLang with fp8, vLLM in the model's type, but for its Blackwell runs of MiniMax and gpt-oss; on Hopper the model's type
// where the script names none.
const char* KvFormatOf(const std::string& id, const std::string& precision, const std::string& backend,
                       const std::string& gpu) {
  const bool hopper = gpu.starts_with("h");
  if (backend == "vllm") return !hopper && (id.starts_with("MiniMax") || id.starts_with("openai")) ? "fp8" : "bf16";
  if (backend == "trtllm") return hopper && id.starts_with("openai") ? "bf16" : "fp8";
  const bool named = id.starts_with("Qwen") || !hopper;
  return named && precision != "bf16" ? "fp8" : "bf16";
}

// What the named checkpoints store: NVFP4 ones quantise the routed experts and keep the rest in bf16.
Result<model::ModelSpec> SpecOfRow(SiliconSample& sample, const std::string& id, const std::string& precision,
                                   const std::string& kv) {
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, sample.models.Find(id));
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::SpecOf(entry, id));
  if (precision == "fp4" && spec.type_by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] != "mxfp4") {
    model::ApplyWeightChoice(spec, *model::WeightChoiceByName("bf16"));
    model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "nvfp4", 4.5);
  }
  const double bits = spec.ByClass()[TensorClass::kRoutedExpert].BitsPerWeight();
  if (precision == "fp8" && bits > 9) model::ApplyWeightChoice(spec, *model::WeightChoiceByName("fp8"));
  if (precision == "int4" && bits > 5) model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "int4", 4.5);
  RETURN_IF_ERROR(model::ApplyKvFormat(spec, kv));
  return spec;
}

// Decode steps between two moments at which a new prompt may start, by the same scripts. SGLang on Blackwell looks for new
// requests every 10 steps, from 16 clients on mostly every 30 (--scheduler-recv-interval); on Hopper at every step.
// TensorRT-LLM with data-parallel attention keeps DeepSeek's prompts back until every rank has one, for 60 steps at most
// (attention_dp_config: enable_balance, timeout_iters).
double PollSteps(const Observation& o, const SiliconRow& row) {
  if (o.system == "trtllm") return o.deployment.data > 1 && row.family.starts_with("deepseek") ? 60 : 1;
  if (o.system != "sglang" || row.gpu.starts_with("h") || o.deployment.data > 1) return 1;
  if (row.family == "zai-org/GLM-5") return row.precision == "fp4" ? 10 : 1;
  const bool ten = row.precision == "fp8" && (row.family.starts_with("Qwen") ? row.gpu == "b300_sxm" : o.deployment.tensor < 8);
  return *o.load.clients >= 16 && !ten ? 30 : 10;
}

// Its client draws lengths evenly from 80 to 100 % of the nominal ones (--random-range-ratio 0.8). Other rows come from files
// of AIConfigurator's own comparison, whose paths the column names.
constexpr double kMeanLength = 0.9;
bool FromInferenceX(const std::string& source) { return source.find("/data/") == std::string::npos; }

// The columns of a row's layout, as they stand.
struct Columns {
  int tensor = 1, data = 1, moe_tensor = 1, moe_expert = 1;
};
// The layout that was run. Rows made from InferenceX's results multiply what it calls TP and EP: "tp8_ep8" of the id stands as
// 64 ranks of attention beside 8 x 8 of the experts, while the same measurement, equal in every digit, is elsewhere in the file
// as 8 beside 1 x 8. vLLM's "tp4_ep4" stands as 4 x 4 beside 16. InferenceX's configurations have one node of at most 8 GPUs,
// and data-parallel attention under vLLM in three of them only (config_id). None: columns that contradict each other.
std::optional<metrics::Deployment> LayoutOf(const Columns& c, const std::string& backend, const std::string& source) {
  constexpr const char* kDataParallel[] = {"config_id=707;", "config_id=727;", "config_id=827;"};
  const int ranks = c.tensor * c.data, root = c.moe_tensor;
  if (root > 1 && root == c.moe_expert && ranks == root * root && FromInferenceX(source))
    return c.data > 1 ? metrics::Deployment{1, root, 1, root} : metrics::Deployment{root, root, 1, 1};
  if (backend == "vllm" && c.data > 1 && c.tensor == c.data && c.moe_expert == ranks && c.moe_tensor == 1) {
    const bool parallel = std::any_of(std::begin(kDataParallel), std::end(kDataParallel),
                                      [&](const char* id) { return source.find(id) != std::string::npos; });
    return parallel ? metrics::Deployment{1, c.data, 1, c.data} : metrics::Deployment{c.tensor, c.tensor, 1, 1};
  }
  if (ranks != c.moe_tensor * c.moe_expert) return std::nullopt;
  // Experts cut over all ranks of data-parallel attention are shared by its replicas like experts spread over them.
  return metrics::Deployment{c.tensor, c.data > 1 ? ranks : c.moe_expert, 1, c.data};
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
    const auto size = [&](const char* name) { return std::max(1, IntegerOf(at(name))); };
    const auto layout =
        LayoutOf({size("tp_size"), size("attention_dp_size"), size("moe_tp_size"), size("moe_ep_size")}, at("backend"), source);
    if (!layout || layout->tensor > 8 || source.find("wip=True") != std::string::npos || clients_at == std::string::npos ||
        at("silicon_tpot_ms").empty()) {
      ++sample_.left_out;
      return {};
    }
    const std::string measured =
        fmt::format("{}|{}|{}|{}", gpu->name, source.substr(clients_at, source.find(';', clients_at) - clients_at),
                    at("silicon_ttft_ms"), at("silicon_tpot_ms"));
    if (!measured_.insert(measured).second) {
      ++sample_.repeated;
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
    o.deployment = *layout;
    o.load.clients = std::atof(source.c_str() + clients_at + 20);
    const double mean = FromInferenceX(source) ? kMeanLength : 1;
    o.load.input_tokens = mean * std::atof(at("isl").c_str());
    o.load.output_tokens = mean * std::atof(at("osl").c_str());
    o.poll_steps = PollSteps(o, row);
    o.ttft_s = std::atof(at("silicon_ttft_ms").c_str()) / 1e3;
    o.tpot_s = std::atof(at("silicon_tpot_ms").c_str()) / 1e3;
    row.usd_per_h = gpu->usd_per_h * static_cast<double>(o.deployment.Devices());
    return Place(std::move(row), family->id, gpu->id);
  }

 private:
  Status Place(SiliconRow row, const std::string& id, const std::string& gpu) {
    Observation& o = row.observation;
    const std::string kv = KvFormatOf(id, row.precision, o.system, row.gpu);
    const std::string key = id + "|" + row.precision + "|" + kv;
    if (!sample_.works.count(key)) {
      ASSIGN_OR_RETURN(model::ModelSpec spec, SpecOfRow(sample_, id, row.precision, kv));
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
  std::set<std::string> measured_;  // what rows measured: some stand in the file twice or three times
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
