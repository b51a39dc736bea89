#include "planner/question_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/nearest_word.h"
#include "base/yaml.h"

namespace moecap::planner {
namespace {

constexpr std::array kKeys = {
    QuestionKey{"scenario", "scenario", "single-user, chat, coding-agent, rag, reasoning or offline (default: chat)"},
    QuestionKey{"clients", "clients", "requests in flight, each followed by the next"},
    QuestionKey{"requests_per_s", "rate", "requests a second that arrive by chance, instead of clients"},
    QuestionKey{"input_tokens", "input", "mean tokens of a prompt"},
    QuestionKey{"output_tokens", "output", "mean tokens of an answer"},
    QuestionKey{"input_cv", "input-cv", "spread of prompts' lengths: standard deviation / mean (default: 0, all alike)"},
    QuestionKey{"output_cv", "output-cv", "spread of answers' lengths; 1 = as of an exponential distribution"},
    QuestionKey{"prefix_hit", "prefix-hit", "share of the input that the prefix cache has: 0.5 or 50%"},
    QuestionKey{"drafted_tokens", "draft", "tokens drafted a step by speculative decoding"},
    QuestionKey{"accepted_tokens", "accepted", "of them accepted, on average"},
    QuestionKey{"tpot", "tpot", "target: time per output token, 50ms or 0.05"},
    QuestionKey{"tokens_per_s", "speed", "target: tokens a second of each user, instead of --tpot"},
    QuestionKey{"ttft", "ttft", "target: time to the first token"},
    QuestionKey{"e2e", "e2e", "target: time to the last token"},
    QuestionKey{"budget_usd", "budget", "limit: USD to buy the machine"},
    QuestionKey{"usd_per_month", "per-month", "limit: USD a month"},
    QuestionKey{"power_w", "power", "limit: W at the wall under load"},
    QuestionKey{"device_classes", "class",
                "limit: datacenter, workstation, consumer, unified, laptop, edge, cpu; comma-separated"},
    QuestionKey{"devices", "device", "limit: these devices of the catalogue, comma-separated"},
    QuestionKey{"most_devices", "most-devices", "limit: devices in all (default: 64)"},
    QuestionKey{"own", "own", "what is there already, e.g. 2xrtx-4090; only its energy is counted"},
    QuestionKey{"dram", "dram", "host memory that is there, e.g. 256GB; with --own"},
    QuestionKey{"processor", "processor", "of the catalogue, that is there; with --own"},
    QuestionKey{"pay", "pay", "buy or rent (default: rent where a rate is known)"},
    QuestionKey{"objective", "by", "month (default), token, speed or power"},
    QuestionKey{"fidelity", "fidelity", "of the weights: original, near (8 bits or more, the default) or any"},
    QuestionKey{"narrow_kv", "narrow-kv", "yes or no: try KV caches in fp8, too (default: with --fidelity any)"},
    QuestionKey{"launch", "launch", "of the server: tuned, default settings, or either (default: its band holds both)"},
    QuestionKey{"max_running", "max-running",
                "requests that the launch lets run at once in one replica, e.g. of --max-num-seqs (default: as memory holds)"},
    QuestionKey{"offload", "offload", "yes (default) or no: experts outside the devices' memory"},
    QuestionKey{"margin", "margin", "predicted times x this must keep the targets (default: 1.15)"},
    QuestionKey{"why_not", "why-not", "devices and systems to explain, comma-separated"}};

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kDurations[] = {{"ms", 1e-3}, {"s", 1}, {"min", 60}};
constexpr Unit kAmounts[] = {{"k", 1e3}, {"M", 1e6}};
constexpr Unit kShares[] = {{"%", 1e-2}};
constexpr Unit kMemories[] = {{"GB", 1e9}, {"GiB", 1073741824.0}, {"TB", 1e12}, {"TiB", 1099511627776.0}};

std::vector<std::string> ListOf(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    std::string word = text.substr(at, end - at);
    word.erase(0, word.find_first_not_of(' '));
    word.erase(word.find_last_not_of(' ') + 1);
    if (!word.empty()) words.push_back(std::move(word));
    at = end + 1;
  }
  return words;
}

// Reads values by key and keeps the first complaint.
class Values {
 public:
  explicit Values(const QuestionText& text) : text_(text) {}

  std::optional<double> Number(const char* key, std::span<const Unit> units) {
    std::string value = text_.Get(key);
    if (value.empty()) return std::nullopt;
    double factor = 1;
    size_t longest = 0;
    for (const Unit& unit : units) {
      if (value.size() > unit.name.size() && unit.name.size() > longest && value.ends_with(unit.name)) {
        factor = unit.factor;
        longest = unit.name.size();
      }
    }
    value.resize(value.size() - longest);
    value.erase(value.find_last_not_of(' ') + 1);
    const auto number = ParseNumber(value);
    if (!number) {
      std::string hint;
      for (const Unit& unit : units) hint += fmt::format("{}{}", hint.empty() ? "; it may end in " : ", ", unit.name);
      Complain(BadInput(fmt::format("{}: '{}' is no number{}", key, text_.Get(key), hint)));
    }
    if (number && !std::isfinite(*number * factor))
      Complain(BadInput(fmt::format("{}: '{}' is too large", key, text_.Get(key))));
    return number ? std::optional(*number * factor) : std::nullopt;
  }
  std::vector<std::string> List(const char* key) const { return ListOf(text_.Get(key)); }
  std::string Word(const char* key) const { return text_.Get(key); }
  std::optional<bool> YesOrNo(const char* key) {
    const std::string word = text_.Get(key);
    if (word.empty()) return std::nullopt;
    if (word != "yes" && word != "no") Complain(BadInput(fmt::format("{}: '{}' is neither yes nor no", key, word)));
    return word == "yes";
  }

  template <typename T>
  void Take(Result<T> result, T& into) {
    if (result.ok()) {
      into = *std::move(result);
    } else {
      Complain(result.error());
    }
  }
  void Complain(Error error) {
    if (!error_) error_ = std::move(error);
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const QuestionText& text_;
  std::optional<Error> error_;
};

void ReadLoad(const Preset& preset, Values& values, Load& load) {
  load.clients = values.Number("clients", kAmounts);
  load.requests_per_s = values.Number("requests_per_s", kAmounts);
  if (!load.clients && !load.requests_per_s) load.clients = preset.clients;
  load.input_tokens = values.Number("input_tokens", kAmounts).value_or(preset.input_tokens);
  load.output_tokens = values.Number("output_tokens", kAmounts).value_or(preset.output_tokens);
  load.input_cv = values.Number("input_cv", {}).value_or(0);
  load.output_cv = values.Number("output_cv", {}).value_or(0);
  load.prefix_hit = values.Number("prefix_hit", kShares).value_or(preset.prefix_hit);
  load.drafted_tokens = values.Number("drafted_tokens", {}).value_or(0);
  load.accepted_tokens = values.Number("accepted_tokens", {}).value_or(0);
}

// A scenario's targets stand only where the question was a scenario: a target that is given replaces them all.
void ReadTargets(const Preset& preset, Values& values, Targets& targets) {
  targets.tpot_s = values.Number("tpot", kDurations);
  targets.ttft_s = values.Number("ttft", kDurations);
  targets.e2e_s = values.Number("e2e", kDurations);
  if (const auto speed = values.Number("tokens_per_s", {})) {
    if (targets.tpot_s && std::abs(*targets.tpot_s * *speed - 1) > 1e-6)
      values.Complain(BadInput("the targets contradict each other: tpot and tokens_per_s say two things; give one"));
    constexpr double kFastest = 1e6;
    if (!(*speed > 0 && *speed <= kFastest))
      values.Complain(
          BadInput(fmt::format("tokens_per_s: {:g} is not in range: a speed is above 0, at most {:g}", *speed, kFastest)));
    targets.tpot_s = 1 / *speed;
  }
  if (!targets.tpot_s && !targets.ttft_s && !targets.e2e_s) targets = {preset.tpot_s, preset.ttft_s, std::nullopt};
}

void ReadLimits(Values& values, Limits& limits) {
  limits.purchase_usd = values.Number("budget_usd", kAmounts);
  limits.usd_per_month = values.Number("usd_per_month", kAmounts);
  limits.watts = values.Number("power_w", kAmounts);
  limits.device_classes = values.List("device_classes");
  for (const std::string& name : limits.device_classes) {
    const std::vector<std::string> known = {"datacenter", "workstation", "consumer", "unified", "edge", "cpu", "laptop"};
    if (name == "phone")
      values.Complain(
          BadInput("device_classes: no peak rates of phones are known, so no time can be predicted; `moecap plan "
                   "devices` says which have the bandwidth and the memory"));
    if (std::find(known.begin(), known.end(), name) == known.end())
      values.Complain(BadInput(fmt::format("device_classes: '{}' is no class; there are {}", name, fmt::join(known, ", "))));
  }
  limits.devices = values.List("devices");
  if (const auto most = values.Number("most_devices", {})) {
    constexpr double kMost = 1024;
    if (*most >= 1 && *most <= kMost && *most == std::floor(*most)) {
      limits.most_devices = static_cast<int>(*most);
    } else {
      values.Complain(BadInput(fmt::format("most_devices: {:g} is no whole number from 1 to {:g}", *most, kMost)));
    }
  }
}

// "2xrtx-4090, h100-sxm"
void ReadOwned(const Limits& limits, Values& values, std::optional<Owned>& owned) {
  const auto dram = values.Number("dram", kMemories);
  constexpr double kLeastDram = 1e8;
  if (dram && *dram < kLeastDram)
    values.Complain(BadInput(fmt::format("dram: {:g} bytes is less than any host has; write 64GB for 64 gigabytes", *dram)));
  for (const std::string& word : values.List("own")) {
    cost::MachinePart part;
    values.Take(ParseDevices(word), part);
    if (!values.Word("most_devices").empty() && part.count > limits.most_devices) {
      values.Complain(
          BadInput(fmt::format("the limits contradict each other: own {} are more than most_devices {}; own {}x{}, or leave "
                               "most_devices out",
                               word, limits.most_devices, limits.most_devices, part.id)));
    }
    if (!owned) owned.emplace();
    owned->devices.push_back(std::move(part));
  }
  if (owned) {
    owned->dram_bytes = dram;
    owned->processor = values.Word("processor");
  } else if (dram || !values.Word("processor").empty()) {
    values.Complain(BadInput("dram and processor describe what is there: name the devices with own"));
  }
}

void ReadChoices(Values& values, Question& question) {
  if (const std::string pay = values.Word("pay"); pay == "buy" || pay == "rent") {
    question.pay = pay == "buy" ? cost::Pay::kBuy : cost::Pay::kRent;
  } else if (!pay.empty()) {
    values.Complain(BadInput(fmt::format("pay: '{}' is neither buy nor rent", pay)));
  }
  if (const std::string name = values.Word("objective"); !name.empty()) values.Take(FindObjective(name), question.objective);
  if (const std::string name = values.Word("fidelity"); !name.empty()) values.Take(FindFidelity(name), question.fidelity);
  if (const std::string name = values.Word("launch"); !name.empty()) values.Take(FindLaunch(name), question.launch);
  question.offload = values.YesOrNo("offload").value_or(true);
  question.narrow_kv = values.YesOrNo("narrow_kv");
  question.max_running = values.Number("max_running", {});
  question.margin = values.Number("margin", {}).value_or(question.margin);
  question.why_not = values.List("why_not");
}

}  // namespace

std::span<const QuestionKey> QuestionKeys() { return kKeys; }

Result<cost::MachinePart> ParseDevices(const std::string& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  size_t at = digits;
  while (at < text.size() && text[at] == ' ') ++at;
  cost::MachinePart part{text, 1};
  if (digits > 0 && at < text.size() && text[at] == 'x') {
    part.count = static_cast<int64_t>(ParseNumber(text.substr(0, digits)).value_or(0));
    part.id = text.substr(std::min(text.find_first_not_of(' ', at + 1), text.size()));
  }
  // "rtx4090x2": a name with a number, and digits alone behind the x. Not "rtx4090".
  constexpr const char* kDigits = "0123456789";
  if (const size_t x = text.find_last_of('x'); digits == 0 && x != std::string::npos && x + 1 < text.size() &&
                                               text.find_first_not_of(kDigits, x + 1) == std::string::npos &&
                                               text.find_first_of(kDigits) < x)
    return BadInput(fmt::format("'{}': how many goes first; write {}x{}", text, text.substr(x + 1), text.substr(0, x)));
  if (part.id.empty() || part.count < 1 || part.count > 65536)
    return BadInput(fmt::format("'{}' names no devices; write how many of which, e.g. 2xrtx-4090", text));
  return part;
}

std::string QuestionText::Get(const std::string& key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? "" : at->second;
}

void QuestionText::Overlay(const QuestionText& other) {
  for (const auto& [key, value] : other.values_) values_[key] = value;
}

Result<QuestionText> ParseQuestionFile(std::string_view yaml, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(yaml, file));
  if (root.kind != YamlNode::Kind::kMap) return BadInput(fmt::format("{}:{}: a question is a list of keys", file, root.line));
  std::vector<std::string> known = {"model"};
  for (const QuestionKey& key : kKeys) known.emplace_back(key.name);
  QuestionText text;
  for (const YamlNode& entry : root.items) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      const std::string nearest = NearestWord(entry.key, known);
      return BadInput(fmt::format("{}:{}: '{}' is no key of a question{}", file, entry.key_line, entry.key,
                                  nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
    }
    std::string value = entry.scalar;
    if (entry.kind == YamlNode::Kind::kList) {
      for (const YamlNode& item : entry.items) value += (value.empty() ? "" : ",") + item.scalar;
    } else if (entry.kind != YamlNode::Kind::kScalar) {
      return BadInput(fmt::format("{}:{}: {} is a word, a number or a list of words", file, entry.line, entry.key));
    }
    if (value.empty())
      return BadInput(fmt::format("{}:{}: {} is empty: give a value, or leave it out", file, entry.line, entry.key));
    text.Set(entry.key, value);
  }
  return text;
}

Result<Question> MakeQuestion(const QuestionText& text) {
  const std::string scenario = text.Get("scenario");
  ASSIGN_OR_RETURN(const Preset preset, FindPreset(scenario.empty() ? "chat" : scenario));
  Question question;
  Values values(text);
  if (preset.name == "offline") question.objective = Objective::kToken;
  ReadLoad(preset, values, question.load);
  ReadTargets(preset, values, question.targets);
  ReadLimits(values, question.limits);
  ReadOwned(question.limits, values, question.owned);
  if (question.owned) question.objective = Objective::kSpeed;
  ReadChoices(values, question);
  if (values.error()) return *values.error();
  RETURN_IF_ERROR(CheckQuestion(question));
  return question;
}

}  // namespace moecap::planner
