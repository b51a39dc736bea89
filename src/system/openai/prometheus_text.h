// Reading a page in Prometheus' text format. Samples that are not finite or below 0 are left out: no figure of a server is.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap::openai {

// The sum over the samples of that name whose labels hold `label` ("mode=\"decode\""); null without one.
std::optional<double> SumOf(std::string_view page, std::string_view name, std::string_view label = "");
// Their mean.
std::optional<double> MeanOf(std::string_view page, std::string_view name);
// SumOf the first of the names that the page has.
std::optional<double> FirstOf(std::string_view page, std::initializer_list<std::string_view> names);

// The value of a label of the first sample whose name begins so; "" without one. Escapes are left as they are.
std::string LabelOf(std::string_view page, std::string_view name_begin, std::string_view label);

// How many different values the label has among the samples of that name; 0 without one.
int ValuesOf(std::string_view page, std::string_view name, std::string_view label);

// Of the histogram `name`: upper bound and cumulative count of its buckets but the last, ascending; label sets are added up.
std::vector<std::pair<double, double>> BucketsOf(std::string_view page, std::string_view name);

}  // namespace moecap::openai
