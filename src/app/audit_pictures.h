// The figures of the paper, drawn from the claims and the catalogues.
#pragma once

#include <string>
#include <vector>

#include "audit/claim.h"
#include "audit/evaluate.h"
#include "base/result.h"

namespace moecap::app {

struct AuditPicture {
  std::string name;  // a file name without ".svg": "radar-qwen3-30b-radar"
  std::string svg;
};

// A radar for each cap_radar claim (Fig. 1), a map of bandwidth and power for each required_bandwidth claim (Fig. 4), and one
// curve of the activated share for the activated_share claims of each file (Fig. 5). Names are unique. Errors as Evaluate.
Result<std::vector<AuditPicture>> DrawAuditPictures(const std::vector<audit::ClaimFile>& files, const audit::Sources& sources);

}  // namespace moecap::app
