#include "experiment/resume.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::experiment {
namespace {

class Changes {
 public:
  void Compare(const std::string& what, const std::string& before, const std::string& now) {
    if (before != now) lines_.push_back(fmt::format("{}: it was {}, now it is {}", what, Shown(before), Shown(now)));
  }
  void Add(std::string line) { lines_.push_back(std::move(line)); }
  std::vector<std::string> Take() && { return std::move(lines_); }

 private:
  static std::string Shown(const std::string& value) { return value.empty() ? "not known" : value; }
  std::vector<std::string> lines_;
};

// The first line in which two texts differ.
std::string FirstDifference(const std::string& before, const std::string& now) {
  const auto at = std::ranges::mismatch(before, now).in1 - before.begin();
  const auto line = 1 + std::count(before.begin(), before.begin() + at, '\n');
  return fmt::format("line {}", line);
}

// A launched server may listen elsewhere each time.
bool IsLaunched(const Config& config, const std::string& name) {
  const auto system = std::ranges::find(config.systems, name, &SystemConfig::name);
  return system != config.systems.end() && system->launch;
}

std::string SheetText(const PricedSystem& system) { return system.sheet ? ToJsonText(*system.sheet) : ""; }

void CompareSystems(const PricedSystem& before, const PricedSystem& now, bool is_launched, Changes& changes) {
  const SystemDescription& a = before.description;
  const SystemDescription& b = now.description;
  const std::string where = fmt::format("system {}, ", a.name);
  changes.Compare(where + "engine", a.engine, b.engine);
  changes.Compare(where + "model", a.model.id, b.model.id);
  changes.Compare(where + "threads", std::to_string(a.threads), std::to_string(b.threads));
  if (!is_launched) changes.Compare(where + "address", a.url, b.url);
  if (SheetText(before) != SheetText(now)) changes.Add(where + "activation sheet: it is another one");
  if (a.model_file_bytes != b.model_file_bytes) {
    changes.Compare(where + "size of " + b.model_file, std::to_string(a.model_file_bytes), std::to_string(b.model_file_bytes));
  } else if (a.model_file_xxh3 != b.model_file_xxh3) {
    changes.Add(fmt::format("{}content of {}: its hash was {}, now it is {}", where, b.model_file, a.model_file_xxh3,
                            b.model_file_xxh3));
  }
}

}  // namespace

std::vector<std::string> ChangesSince(const Manifest& stored, const Manifest& now) {
  Changes changes;
  changes.Compare("host", hardware::HostFingerprint(stored.host), hardware::HostFingerprint(now.host));
  changes.Compare("moecap", stored.moecap_version, now.moecap_version);
  if (stored.config.text != now.config.text)
    changes.Add("configuration: it differs from the stored one from " + FirstDifference(stored.config.text, now.config.text));
  changes.Compare("hash of the data set", stored.problems_xxh3, now.problems_xxh3);
  for (const PricedSystem& system : stored.systems) {
    const PricedSystem* same = now.FindSystem(system.description.name);
    if (same == nullptr) {
      changes.Add(fmt::format("system {}: it is gone", system.description.name));
    } else {
      CompareSystems(system, *same, IsLaunched(now.config, system.description.name), changes);
    }
  }
  return std::move(changes).Take();
}

}  // namespace moecap::experiment
