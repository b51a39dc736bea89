// A document with every kind of block and names that want to break out of their format, for the tests of the renderers.
#pragma once

#include "report/document.h"

namespace moecap::report {

Document SampleDocument();

}  // namespace moecap::report
