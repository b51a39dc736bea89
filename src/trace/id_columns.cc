#include "trace/id_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "trace/trace.h"

namespace moecap::trace {
namespace {

// A column of one value in so many rows is no choice of a router.
constexpr int64_t kCertainRows = 16;
constexpr int64_t kNarrow = 255;

bool OneValue(std::span<const int64_t> ids) {
  return ids.size() > 1 && std::ranges::adjacent_find(ids, std::not_equal_to()) == ids.end();
}

std::string DroppedNote(size_t dropped, size_t of, int64_t lowest, int64_t highest) {
  return fmt::format(
      "{} of {} columns hold no choice of the router ({} in every row: filler, or a shared expert that an engine fused into "
      "the "
      "routed ones) and were left out",
      dropped, of, lowest == highest ? fmt::format("{}", lowest) : fmt::format("{} to {}", lowest, highest));
}

}  // namespace

void IdColumns::Survey(std::span<const int64_t> ids) {
  CHECK(ids.size() == columns_.size());
  if (OneValue(ids)) return;
  for (size_t i = 0; i < ids.size(); ++i) {
    Column& column = columns_[i];
    ++column.rows;
    if (ids[i] < 0) {
      ++column.empty;
      continue;
    }
    column.lowest = std::min(column.lowest, ids[i]);
    column.highest = std::max(column.highest, ids[i]);
  }
}

Status IdColumns::Choose(const IdLimits& limits, std::vector<std::string>& notes) {
  limits_ = limits;
  kept_.clear();
  highest_ = -1;
  if (limits.experts > 0 && limits.experts + limits.zero_experts - 1 > limits.most_id) {
    return BadInput(
        fmt::format("the ids were recorded in a type that holds no more than {}, but the model has {} experts: they "
                    "wrapped around and cannot be told; record them in a wider type",
                    limits.most_id, limits.experts + limits.zero_experts));
  }
  const int64_t end = limits.experts > 0 ? limits.experts + limits.zero_experts : INT64_MAX;
  size_t dropped = 0;
  int64_t lowest_dropped = INT64_MAX, highest_dropped = -1;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    if (column.rows > 0 && column.empty == column.rows) continue;  // padding
    const bool beyond = column.highest >= 0 && column.lowest >= end;
    if (columns_.size() > 1 && (beyond || (column.constant() && column.rows >= kCertainRows))) {
      ++dropped;
      lowest_dropped = std::min(lowest_dropped, column.lowest);
      highest_dropped = std::max(highest_dropped, column.highest);
      continue;
    }
    if (column.highest >= end)
      return BadInput(fmt::format("a token was routed to expert {}, but there are {}: another model?", column.highest, end));
    kept_.push_back(i);
    const int64_t routed = limits.experts > 0 ? std::min<int64_t>(column.highest, limits.experts - 1) : column.highest;
    highest_ = std::max(highest_, routed);
  }
  if (kept_.empty() && dropped > 0) {  // every token chose alike: strange, but no filler
    dropped = 0;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].highest < 0 || columns_[i].highest >= end) continue;
      kept_.push_back(i);
      highest_ = std::max(highest_, columns_[i].highest);
    }
  }
  if (dropped > 0) notes.push_back(DroppedNote(dropped, columns_.size(), lowest_dropped, highest_dropped));
  if (limits.top_k > 0 && static_cast<size_t>(limits.top_k) != kept_.size())
    return BadInput(fmt::format("tokens have {} experts, the model has top-{}: another model?", kept_.size(), limits.top_k));
  if (kept_.empty()) return BadInput("no row names an expert");
  return {};
}

bool IdColumns::Clean(std::span<const int64_t> ids, std::vector<uint16_t>& out) {
  out.clear();
  if (OneValue(ids)) return false;
  ++cleaned_;
  bool sound = !kept_.empty();
  int64_t zeros = 0;
  for (size_t i = 0; i < kept_.size() && sound; ++i) {
    const int64_t id = ids[kept_[i]];
    if (id < 0) return out.clear(), false;
    const bool repeats = std::any_of(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](size_t before) { return ids[before] == id; });
    sound = !repeats;
    repeated_ += repeats;
    const bool zero = limits_.experts > 0 && id >= limits_.experts;
    zeros += zero;
    out.push_back(zero ? kNoExpert : static_cast<uint16_t>(id));
  }
  if (!sound) return out.clear(), false;
  zero_ids_ += zeros;
  ids_ += static_cast<int64_t>(kept_.size());
  return true;
}

Status IdColumns::Check(std::vector<std::string>& notes) const {
  if (repeated_ > 0 && limits_.most_id <= kNarrow && limits_.experts == 0 && highest_ > limits_.most_id * 3 / 4) {
    return BadInput(
        fmt::format("{} of {} rows hold an expert twice, and ids reach {} in a type that holds no more than {}: the model has "
                    "more experts, "
                    "and their ids wrapped around; record them in a wider type",
                    repeated_, cleaned_, highest_, limits_.most_id));
  }
  if (repeated_ > 0)
    notes.push_back(fmt::format("{} of {} rows hold an expert twice, which no router chooses; they count as not recorded",
                                repeated_, cleaned_));
  if (zero_ids_ > 0) {
    notes.push_back(fmt::format("{:.1f} % of the choices are zero experts, which compute nothing; they are no expert's load",
                                100.0 * static_cast<double>(zero_ids_) / static_cast<double>(ids_)));
  }
  return {};
}

}  // namespace moecap::trace
