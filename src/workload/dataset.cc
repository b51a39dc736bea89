#include "workload/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/rng.h"

namespace moecap::workload {
namespace {

Status CheckCount(size_t problems, int64_t count) {
  if (count >= 1 && static_cast<uint64_t>(count) <= problems) return {};
  return BadInput(
      fmt::format("{} problems asked for, but the data set has {}; choose between 1 and {}", count, problems, problems));
}

// How many of `count` problems each group gives: its share rounded down, and one more for the largest remainders; the earlier
// group where they are equal.
std::vector<int64_t> SharesOf(const std::vector<std::vector<size_t>>& groups, int64_t count, int64_t all) {
  std::vector<int64_t> shares, remainders;
  for (const auto& group : groups) {
    shares.push_back(count * std::ssize(group) / all);
    remainders.push_back(count * std::ssize(group) % all);
  }
  std::vector<size_t> order(groups.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t i) { return remainders[i]; });
  const int64_t rest = count - std::accumulate(shares.begin(), shares.end(), int64_t{0});
  for (int64_t i = 0; i < rest; ++i) ++shares[order[static_cast<size_t>(i)]];
  return shares;
}

}  // namespace

Result<std::vector<Problem>> SelectProblems(std::vector<Problem> problems, int64_t count, std::optional<uint64_t> seed) {
  RETURN_IF_ERROR(CheckCount(problems.size(), count));
  if (seed) Rng(*seed).Shuffle(problems);
  problems.resize(static_cast<size_t>(count));
  return problems;
}

Result<std::vector<Problem>> SampleProblems(std::vector<Problem> problems, int64_t count, uint64_t seed) {
  RETURN_IF_ERROR(CheckCount(problems.size(), count));
  std::map<std::string, size_t> number;  // of a group
  std::vector<std::vector<size_t>> groups;
  for (size_t i = 0; i < problems.size(); ++i) {
    const auto [found, is_new] = number.emplace(problems[i].group, groups.size());
    if (is_new) groups.emplace_back();
    groups[found->second].push_back(i);
  }
  Rng rng(seed);
  // So that it is chance which of the groups with equal remainders gives one more.
  rng.Shuffle(groups);
  const std::vector<int64_t> shares = SharesOf(groups, count, std::ssize(problems));
  std::vector<Problem> sample;
  for (size_t i = 0; i < groups.size(); ++i) {
    rng.Shuffle(groups[i]);
    for (int64_t k = 0; k < shares[i]; ++k) sample.push_back(std::move(problems[groups[i][static_cast<size_t>(k)]]));
  }
  rng.Shuffle(sample);
  return sample;
}

}  // namespace moecap::workload
