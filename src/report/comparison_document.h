// Cells of several stored experiments side by side as a document.
#pragma once

#include "cap/judgement.h"
#include "report/document.h"

namespace moecap::report {

Document ComparisonDocument(const cap::Comparison& comparison);

}  // namespace moecap::report
