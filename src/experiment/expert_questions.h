// What a server told of the experts behind its answers, asked in a second run of the same requests. Internal to experiment/.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/driver.h"
#include "experiment/results.h"
#include "experiment/server_passes.h"
#include "load/system_under_test.h"

namespace moecap::experiment {

class ExpertQuestions {
 public:
  // `again`: the requests of all measurements are the same, so each is asked once an experiment; generated prompts are all new.
  explicit ExpertQuestions(bool again) : again_(again) {}

  struct Asker {
    SystemDriver& driver;
    int connections = 1;
    const std::function<bool()>& stop_requested;  // may be empty
    std::function<void()> on_ask;                 // before the first question
  };

  // One entry a request, null where nothing was told; valid until the next call. `facts` gets the findings and why experts are
  // missing. Error: kInterrupted.
  Result<std::vector<const ToldExperts*>> Tell(std::span<const load::RequestSpec> specs, const Measurement& measurement,
                                               std::span<const record::RequestRecord> requests, const Asker& asker,
                                               ServerPassFacts& facts);

 private:
  bool again_;
  std::map<std::string, std::map<std::string, ToldExperts>> told_;  // by system and request
  std::map<std::string, std::string> refused_;                      // why a system tells none: it is not asked again
};

}  // namespace moecap::experiment
