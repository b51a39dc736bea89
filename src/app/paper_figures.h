// The figures of the paper, drawn from the claims and the catalogues.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "paper/claim.h"
#include "paper/evaluate.h"

namespace moecap::app {

struct PaperPicture {
  std::string name;  // a file name without ".svg": "radar-qwen3-30b-radar"
  std::string svg;
};

// A radar for each cap_radar claim (Fig. 1), a map of bandwidth and power for each required_bandwidth claim (Fig. 4), and one
// curve of the activated share for the activated_share claims of each file (Fig. 5). Names are unique. Errors as Evaluate.
Result<std::vector<PaperPicture>> DrawPaperPictures(const std::vector<paper::ClaimFile>& files, const paper::Sources& sources);

}  // namespace moecap::app
