// What the judge says of the systems in view, as tables, sentences and plots: shared by experiments and comparisons. Internal
// to report/.
#pragma once

#include <span>

#include "cap/judgement.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// `cells`: those behind the evidence, in its order; `cell` may be null where it is not known.
Section JudgementSection(const cap::Judgement& judgement, std::span<const ShownCell> cells);

}  // namespace moecap::report
