// What is asked of the planner, and whether it can be asked.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cost/machine.h"
#include "planner/serving.h"

namespace moecap::planner {

// A kind of use: lengths, clients and targets that stand where the question leaves them open.
struct Preset {
  std::string_view name;     // "chat"
  std::string_view meaning;  // one sentence
  double clients, input_tokens, output_tokens, prefix_hit;
  std::optional<double> tpot_s, ttft_s;
};
// "single-user", "chat", "coding-agent", "rag", "reasoning", "offline".
std::span<const Preset> Presets();
// Error: kBadInput with the nearest name.
Result<Preset> FindPreset(std::string_view name);

// Means as a client sees them; null = no target.
struct Targets {
  std::optional<double> tpot_s, ttft_s, e2e_s;
};

struct Limits {
  std::optional<double> purchase_usd;
  std::optional<double> usd_per_month;
  std::optional<double> watts;              // at the wall, under load
  std::vector<std::string> device_classes;  // "datacenter", "workstation", ...; empty = any
  std::vector<std::string> devices;         // ids; empty = any
  int most_devices = 64;
};

// What the answer is chosen by, among those that keep every target and limit.
enum class Objective : uint8_t { kMonth, kToken, kSpeed, kPower };
// "month", "token", "speed", "power".
std::string_view Name(Objective objective);
Result<Objective> FindObjective(std::string_view name);

// How far the weights may be from what the checkpoint stores.
enum class Fidelity : uint8_t { kOriginal, kNear, kAny };  // as stored; at least 8 bits; whatever fits
std::string_view Name(Fidelity fidelity);                  // "original", "near", "any"
Result<Fidelity> FindFidelity(std::string_view name);

std::string_view Name(Launch launch);  // "either", "tuned", "default"
Result<Launch> FindLaunch(std::string_view name);

// Hardware that is there already; nothing else is then considered.
struct Owned {
  std::vector<cost::MachinePart> devices;
  std::optional<double> dram_bytes;
  std::string processor;  // id; "" = the usual host of such devices
};

struct Question {
  Load load;
  Targets targets;
  Limits limits;
  std::optional<cost::Pay> pay;  // null: rent where a rate is known, else buy
  Objective objective = Objective::kMonth;
  Fidelity fidelity = Fidelity::kNear;
  std::optional<bool> narrow_kv;  // KV caches in fp8 are tried, too; null: where any fidelity of the weights will do
  std::optional<Owned> owned;
  Launch launch = Launch::kEither;
  // Requests that the launch lets run at once in one replica, that is in one rank of data parallelism. Null: as many as memory
  // holds; of a launch with default settings the system's own default.
  std::optional<double> max_running;
  bool offload = true;  // experts outside the accelerators' memory are considered
  // Predicted times x margin must keep the targets: of devices that the multipliers were fitted on. Where predictions are less
  // certain the margin is wider, by the root of the ratio of the bands; 1 = none anywhere.
  double margin = 1.15;
  std::vector<std::string> why_not;  // devices and systems to explain

  bool NarrowKv() const { return narrow_kv.value_or(fidelity == Fidelity::kAny); }
};

// Errors: kBadInput naming what is out of range or what contradicts what: no load or two, targets that no length allows.
Status CheckQuestion(const Question& question);
// Of a limit on running requests alone.
Status CheckMaxRunning(const std::optional<double>& max_running);

}  // namespace moecap::planner
