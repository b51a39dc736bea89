#include "experiment/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/fs.h"
#include "base/paths.h"
#include "base/yaml.h"
#include "cost/machine_file.h"
#include "experiment/load_config.h"
#include "experiment/problem_config.h"

namespace moecap::experiment {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kHere = "here";  // the machine of a server that runs beside its client
constexpr int64_t kMostTokens = 1 << 24;
constexpr int64_t kMostThreads = 4096;

char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// "h100-sxm", "8 x h100-sxm", or a file of docs/cost.md.
std::optional<cost::MachineSpec> MachineNamed(const std::string& text, const fs::path& base_dir, int line, YamlErrors& errors) {
  if (text.ends_with(".yaml") || text.ends_with(".yml")) {
    const fs::path file = (base_dir / text).lexically_normal();
    const auto content = ReadFile(file);
    auto machine = content.ok() ? cost::ParseMachineFile(*content, file.string()) : Result<cost::MachineFile>(content.error());
    if (machine.ok()) return std::move(machine->machine);
    errors.Add(line, machine.error());
    return std::nullopt;
  }
  cost::MachineSpec machine;
  machine.name = text;
  cost::MachinePart part{text, 1};
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const size_t mark = text.find_first_not_of(' ', digits);
  if (digits > 0 && mark != std::string::npos && (text[mark] == 'x' || text[mark] == '*')) {
    part.count = static_cast<int64_t>(ParseNumber(text.substr(0, digits)).value_or(0));
    part.id = text.substr(std::min(text.find_first_not_of(' ', mark + 1), text.size()));
  }
  if (part.id.empty() || part.count < 1 || part.count > 1'000'000)
    errors.Add(line,
               fmt::format("machine \"{}\" is no device; write one like h100-sxm, 8 x h100-sxm, or a machine file", text));
  machine.accelerators.push_back(std::move(part));
  return machine;
}

// The keys `machine`, `cost` and `pay` of a system, over those of the whole configuration.
void ReadMachineKeys(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, MachineConfig& config) {
  if (const YamlNode* node = map.Child("machine")) {
    config = {};  // what was given for another machine does not hold for this one
    config.here = node->kind == YamlNode::Kind::kScalar && node->scalar == kHere;
    if (!config.here)
      config.machine = node->kind == YamlNode::Kind::kScalar ? MachineNamed(node->scalar, base_dir, node->line, errors)
                                                             : cost::ReadMachine(*node, errors);
  }
  if (const auto pay = map.Choice("pay", {"buy", "rent"})) config.pay = *pay == 0 ? cost::Pay::kBuy : cost::Pay::kRent;
}

void ReadCost(const YamlNode& node, const fs::path& base_dir, YamlErrors& errors, MachineConfig& machine, Config* whole) {
  YamlMap map(node, "cost", errors);
  if (whole != nullptr) {
    ReadMachineKeys(map, base_dir, errors, machine);
    if (const auto file = map.String("price_book")) whole->price_book = (base_dir / *file).lexically_normal();
  }
  for (const auto& [key, value] : cost::ReadCostInputs(map)) machine.given[key] = value;
  map.RefuseUnknownKeys();
}

// What systems take from the top of the configuration.
struct SystemDefaults {
  std::optional<fs::path> model;
  int threads = 0;
  MachineConfig machine;
};

// A number of layers, or "all".
int ReadCpuExperts(YamlMap& map) {
  constexpr const char* kKey = "cpu_experts";
  const YamlNode* node = map.Child(kKey);
  if (node == nullptr) return 0;
  if (node->scalar == "all") return kAllLayers;
  return static_cast<int>(map.Integer(kKey, 1, 4096).value_or(0));
}

void ReadEngine(YamlMap& map, const SystemDefaults& defaults, const fs::path& base_dir, YamlErrors& errors,
                SystemConfig& system) {
  system.weights = map.String("weights");
  if (system.weights) std::ranges::transform(*system.weights, system.weights->begin(), ToUpper);
  system.kv = map.String("kv");
  system.float32_attention = map.Boolean("float32_attention").value_or(false);
  if (system.float32_attention && system.kv && *system.kv != "f32")
    map.Complain("kv", "\"kv\" is f32 where \"float32_attention\" is true; leave it out");
  const auto model = map.String("model");
  if (!model && !defaults.model)
    errors.Add(map.line(), "\"model\" is missing; give it here or once at the top, e.g. model: my-moe.gguf");
  system.model = model ? (base_dir / *model).lexically_normal() : defaults.model.value_or(fs::path());
  system.threads = static_cast<int>(map.Integer("threads", 1, kMostThreads).value_or(defaults.threads));
  if (const auto device = map.Choice("device", {"cpu", "gpu", "auto"})) system.device = static_cast<Device>(*device);
  if (const auto layers = map.Integer("gpu_layers", 1, 4096)) system.gpu_layers = static_cast<int>(*layers);
  if (system.gpu_layers && system.device == Device::kCpu)
    map.Complain("gpu_layers", "\"gpu_layers\" has no meaning without a GPU; add device: gpu, or device: auto");
  if (const YamlNode* experts = map.Child("experts")) system.experts = ReadExperts(*experts, errors);
  if (system.experts && system.device != Device::kCpu)
    map.Complain("experts", "\"experts\" leaves them on disk for the processor alone; leave out device");
  if (const YamlNode* speculation = map.Child("speculation")) system.speculation = ReadSpeculation(*speculation, errors);
  system.cpu_experts = ReadCpuExperts(map);
  if (system.cpu_experts != 0 && system.device != Device::kGpu)
    map.Complain("cpu_experts", "\"cpu_experts\" says which experts a GPU does not hold; add device: gpu");
  if (map.Child("activation_sheet") != nullptr)
    map.Complain("activation_sheet", "\"activation_sheet\" has no meaning for the embedded engine, whose experts are recorded");
}

void RefuseEngineKeys(YamlMap& map, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (map.Child(key) != nullptr)
      map.Complain(key, fmt::format("\"{}\" has no meaning beside \"server\"; write the server's settings inside it", key));
  }
}

// A path that is there, else an id of the catalogue.
std::string ServedModel(YamlMap& map, const fs::path& base_dir) {
  const auto model = map.String("model");
  if (!model) return "";
  const fs::path path = (base_dir / *model).lexically_normal();
  std::error_code none;
  return fs::exists(path, none) ? path.string() : *model;
}

// `server` and `launch` of a system, or of the whole configuration; one of them is there.
void ReadServerKeys(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, SystemConfig& system) {
  const YamlNode* server = map.Child("server");
  if (const YamlNode* launch = map.Child("launch")) system.launch = ReadLaunch(*launch, base_dir, errors);
  system.server = server != nullptr ? ReadServer(*server, base_dir, !system.launch, errors) : ServerConfig();
  system.served = ServedModel(map, base_dir);
  if (const auto sheet = map.String("activation_sheet")) system.activation_sheet = (base_dir / *sheet).lexically_normal();
  if (!system.launch || !system.launch->system.empty() || !system.server->urls.empty()) return;
  const std::string port = PortIn(system.launch->command);
  if (port.empty())
    map.Complain("launch",
                 "where the server listens is not known; write --port {port} into its command, or give server: {url: URL}");
}

std::string DefaultName(const SystemConfig& system) {
  if (!system.server) return system.weights.value_or(system.model.stem().string());
  if (!system.server->model.empty()) return system.server->model;
  if (system.launch && !system.launch->system.empty()) return system.launch->system;
  if (system.launch && !system.launch->command.empty()) return fs::path(system.launch->command.front()).filename().string();
  return system.server->urls.empty() ? "server" : system.server->urls.front();
}

SystemConfig ReadSystem(const YamlNode& node, const SystemDefaults& defaults, const fs::path& base_dir, YamlErrors& errors) {
  YamlMap map(node, "a system", errors);
  SystemConfig system;
  system.machine = defaults.machine;
  if (map.Child("server") != nullptr || map.Child("launch") != nullptr) {
    ReadServerKeys(map, base_dir, errors, system);
    RefuseEngineKeys(map, {"weights", "kv", "float32_attention", "threads", "device", "gpu_layers", "experts", "cpu_experts",
                           "speculation"});
  } else {
    ReadEngine(map, defaults, base_dir, errors, system);
  }
  system.name = map.String("name").value_or(DefaultName(system));
  constexpr std::array kClasses{"PA", "PC", "CA"};
  if (const auto meant = map.Choice("meant_as", {kClasses[0], kClasses[1], kClasses[2]})) system.meant_as = kClasses[*meant];
  ReadMachineKeys(map, base_dir, errors, system.machine);
  if (const YamlNode* cost = map.Child("cost")) ReadCost(*cost, base_dir, errors, system.machine, nullptr);
  map.RefuseUnknownKeys();
  return system;
}

// A list of systems, or one server.
void ReadSystems(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, Config& config) {
  SystemDefaults defaults;
  if (const YamlNode* cost = map.Child("cost")) ReadCost(*cost, base_dir, errors, defaults.machine, &config);
  if (const auto model = map.String("model")) defaults.model = (base_dir / *model).lexically_normal();
  const int threads = static_cast<int>(map.Integer("threads", 1, kMostThreads).value_or(0));
  config.client_threads = static_cast<int>(map.Integer("client_threads", 1, 1024).value_or(1));
  const YamlNode* systems = map.Child("systems");
  config.launch_together = map.Boolean("launch_together").value_or(false);
  if (map.Child("server") != nullptr || map.Child("launch") != nullptr) {
    const char* key = map.Child("server") != nullptr ? "server" : "launch";
    if (systems != nullptr) map.Complain(key, fmt::format("give one of \"{}\" and \"systems\"", key));
    SystemConfig system;
    system.machine = defaults.machine;
    ReadServerKeys(map, base_dir, errors, system);
    system.name = DefaultName(system);
    config.systems.push_back(std::move(system));
    if (threads > 0) config.client_threads = threads;
    return;
  }
  defaults.threads = threads;
  if (systems == nullptr || systems->kind != YamlNode::Kind::kList || systems->items.empty()) {
    errors.Add(map.LineOf("systems"),
               "\"systems\" must be a list with at least one system, or give server: {url: http://127.0.0.1:8000}");
    return;
  }
  std::set<std::string> names;
  for (const YamlNode& node : systems->items) {
    config.systems.push_back(ReadSystem(node, defaults, base_dir, errors));
    if (!names.insert(config.systems.back().name).second)
      errors.Add(node.line, fmt::format("two systems are named \"{}\"; names must differ", config.systems.back().name));
  }
}

// Without either, the default workload; of systems in this process that would be random tokens, so they must say what they are
// asked.
void ReadWhatIsAsked(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, Config& config) {
  const YamlNode* dataset = map.Child("dataset");
  const YamlNode* workload = map.Child("workload");
  if (dataset != nullptr && workload != nullptr)
    map.Complain("workload", "give one of \"dataset\" (questions with right answers) and \"workload\"");
  if (dataset != nullptr) config.problems = ReadProblemSet(*dataset, base_dir, errors);
  if (workload != nullptr && NamesDataset(*workload)) {
    config.problems = ReadProblemSet(*workload, base_dir, errors);
  } else if (workload != nullptr) {
    config.workload = workload::ReadWorkload(*workload, base_dir, errors);
  }
  const bool any_engine = std::ranges::any_of(config.systems, [](const SystemConfig& system) { return !system.server; });
  if (dataset == nullptr && workload == nullptr && any_engine)
    errors.Add(map.line(), "say what is asked: dataset: {path: FILE.jsonl, problems: N}, or workload: {input_tokens: 512}");
}

std::optional<cap::FigureId> ReadAxis(YamlMap& map, const char* key, cap::Dimension dimension) {
  const auto name = map.String(key);
  if (!name) return std::nullopt;
  const auto figure = cap::FindFigure(*name, dimension);
  if (figure.ok()) return *figure;
  map.Complain(key, figure.error().message);
  return std::nullopt;
}

void ReadView(const YamlNode& node, YamlErrors& errors, Config& config) {
  YamlMap map(node, "cap", errors);
  cap::ViewChoice& view = config.view;
  if (const auto name = map.String("scenario")) {
    const auto scenario = cap::FindScenario(*name);
    if (scenario.ok()) {
      view.scenario = *name;
    } else {
      map.Complain("scenario", scenario.error().message);
    }
  }
  view.cost = ReadAxis(map, "cost", cap::Dimension::kCost);
  view.performance = ReadAxis(map, "performance", cap::Dimension::kPerformance);
  for (const char* key : {"level", "concurrency"}) {  // the latter as version 0.1 called it
    if (const auto level = map.Number(key)) view.level = level;
    if (view.level && !config.search && std::ranges::count(config.load.levels, *view.level) == 0 && map.Child(key) != nullptr)
      map.Complain(key, fmt::format("cap: {} {} is not measured; choose one of {}", key, *view.level,
                                    fmt::join(config.load.levels, ", ")));
  }
  config.judge.price_by_memory = map.Boolean("price_by_memory").value_or(false);
  if (const YamlNode* level = map.Child("service_level")) ReadObjectives(*level, "service_level", errors, config.objectives);
  if (const YamlNode* margins = map.Child("margins")) {
    YamlMap values(*margins, "margins", errors);
    config.judge.ratio_margin = ReadWithin(values, "ratio", 1e-6, 1, config.judge.ratio_margin);
    config.judge.accuracy_margin = ReadWithin(values, "accuracy", 1e-6, 1, config.judge.accuracy_margin);
    values.RefuseUnknownKeys();
  }
  const auto needs_objectives = [](std::optional<cap::FigureId> figure) {
    return figure == cap::FigureId::kGoodput || figure == cap::FigureId::kGoodShare;
  };
  if (needs_objectives(view.performance) && !config.objectives.Any())
    errors.Add(map.line(), "cap: goodput needs limits to keep; give objectives: {ttft_s: 0.5, tpot_s: 0.05} or the like");
  map.RefuseUnknownKeys();
}

// Limits of requests and of the embedded engine.
void ReadLimits(YamlMap& map, YamlErrors& errors, Config& config) {
  const int64_t usual =
      config.problems ? UsualOutputTokens(*config.problems, config.max_output_tokens) : config.max_output_tokens;
  config.max_output_is_given = map.Child("max_output_tokens") != nullptr;
  config.max_output_tokens = map.Integer("max_output_tokens", 1, kMostTokens).value_or(usual);
  config.context_tokens = static_cast<int>(map.Integer("context_tokens", 2, kMostTokens).value_or(config.context_tokens));
  config.batch_tokens = static_cast<int>(map.Integer("batch_tokens", 1, kMostTokens).value_or(config.batch_tokens));
  config.warmup_requests = map.Integer("warmup_requests", 0, 1'000'000);
  config.warmup_bursts = map.Boolean("warmup_bursts").value_or(false);
  config.duration_s = ReadPositive(map, "duration_s");
  if (const auto drain_s = map.Number("drain_s"))
    config.drain_s = *drain_s >= 0 ? *drain_s : (map.Complain("drain_s", "\"drain_s\" must be at least 0"), 0);
  config.most_error_share = ReadWithin(map, "most_error_share", 0, 1, config.most_error_share);
  if (const YamlNode* node = map.Child("deadlines")) ReadDeadlines(*node, errors, config.deadlines);
  config.repeats = static_cast<int>(map.Integer("repeats", 1, 1000).value_or(config.repeats));
  if (config.problems && config.problems->pass_at > config.repeats)
    map.Complain("repeats", fmt::format("pass_at: {} needs as many repetitions; set \"repeats\" to at least that",
                                        config.problems->pass_at));
  config.seed = static_cast<uint64_t>(map.Integer("seed", 0, INT64_MAX).value_or(1));
  config.flush_cache = map.Boolean("flush_cache").value_or(false);
}

Config ReadTop(const YamlNode& root, const fs::path& base_dir, YamlErrors& errors) {
  YamlMap map(root, "the configuration", errors);
  Config config;
  config.name = map.String("name").value_or(config.name);
  ReadSystems(map, base_dir, errors, config);
  ReadWhatIsAsked(map, base_dir, errors, config);
  ReadLevels(map, errors, config);
  ReadLimits(map, errors, config);
  if (const YamlNode* node = map.Child("cap")) ReadView(*node, errors, config);
  if (const auto dir = map.String("results_dir")) config.results_dir = *dir;
  map.RefuseUnknownKeys();
  return config;
}

}  // namespace

bool MeasuresInTurn(const Config& config) {
  return !config.launch_together && config.systems.size() > 1 &&
         std::ranges::any_of(config.systems, [](const SystemConfig& system) { return system.launch.has_value(); });
}

Result<Config> ParseConfig(std::string_view text, const std::string& file, const fs::path& base_dir) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  if (root.kind == YamlNode::Kind::kNull) return BadInput(fmt::format("{}: the configuration is empty", file));
  YamlErrors errors(file);
  Config config = ReadTop(root, base_dir, errors);
  if (!errors.empty()) return errors.first();
  if (const Status status = CheckLoad(config); !status.ok()) return Annotate(file, status.error());
  config.text = text;
  config.base_dir = Absolute(base_dir.empty() ? "." : base_dir).lexically_normal();
  return config;
}

Result<Config> ReadConfig(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseConfig(text, file.string(), file.parent_path());
}

}  // namespace moecap::experiment
