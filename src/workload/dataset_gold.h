// What is right in a row. Internal to the folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "workload/dataset.h"

namespace moecap::workload {

// The value of a column of a row; "a.0.b" reaches inside where there is no column of that name. Null when there is none, or
// when it is JSON's null.
const Json* ColumnOfRow(const Json& row, std::string_view column);
// The first of the columns that the row has.
const Json* ColumnOfRow(const Json& row, const std::vector<std::string>& columns);

// A text as it is, another value as JSON.
std::string TextOf(const Json& value);

// What stands in the last \boxed{} (or \fbox{}) with balanced braces; empty when there is none.
std::string LastBoxed(std::string_view text);

// Sets choices, answer and answers. False: there is no right answer, and the data set says that such rows are left out.
// Error: kBadInput that names the column.
Result<bool> ReadGold(const DatasetInfo& info, const Json& row, uint64_t seed, Problem& problem);

}  // namespace moecap::workload
