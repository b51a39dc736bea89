// The figures of MoE-CAP (arXiv 2412.07067) redrawn from stored runs: the share of a model that a pass activates against the
// batch (Fig. 5), the memory bandwidth that a time per token takes against the batch, beside devices that have it (Fig. 6), and
// the radar of cost, accuracy and performance (Fig. 1).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "hardware/catalogue.h"

namespace moecap::app {

struct PaperPicture {
  std::string file;  // "activated-share.svg"
  std::string svg;
};

// Over all systems of all runs, at most as many as there are colours. Leaves out a figure that nothing tells, and cells without
// the numbers. `tpot_s` > 0: the time per token of Fig. 6; `level`: of the radar.
std::vector<PaperPicture> DrawPaperPictures(std::span<const cap::ExperimentSummary> runs, const hardware::Catalogue& catalogue,
                                            double tpot_s, double level);

// Of a pass with `distinct` experts a layer: everything but the experts that it does not use, over all parameters. Null where
// the system does not tell its model, and for a dense one.
std::optional<double> ActivatedShare(const cap::SystemSummary& system, double distinct);

}  // namespace moecap::app
