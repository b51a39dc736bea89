#include "live/pass_telemetry.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace moecap::live {
namespace {

using Message = nlohmann::json;

constexpr double kMostCount = 1e12;
constexpr size_t kNumberBytes = 8;
constexpr size_t kMostBytes = 4096;  // of a message; nesting is read by recursion

// A member of a map, or the value at its place in a list; null when there is none.
const Message* At(const Message& message, const char* key, size_t place) {
  if (message.is_object()) {
    const auto found = message.find(key);
    return found == message.end() ? nullptr : &*found;
  }
  return message.is_array() && place < message.size() ? &message[place] : nullptr;
}

// Null: not there, or no number that counts something.
std::optional<double> NumberAt(const Message& message, const char* key, size_t place) {
  const Message* value = At(message, key, place);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const auto number = value->get<double>();
  return number >= 0 && number <= kMostCount ? std::optional(number) : std::nullopt;
}

// `count` sequences whose new tokens and context add up to the sums; those with one token more come first.
void AddShares(int64_t count, int64_t tokens, int64_t context, std::vector<record::SequenceSlice>& slices) {
  if (count <= 0 || tokens < count) return;
  const int64_t each = context / count, larger = tokens % count;
  if (larger > 0) slices.push_back({each, tokens / count + 1, larger});
  slices.push_back({each, tokens / count, count - larger});
}

}  // namespace

Result<std::optional<record::PassRecord>> ReadForwardPass(std::string_view msgpack) {
  if (msgpack.size() > kMostBytes) return BadInput("a message that is too large for forward-pass metrics");
  const Message message = Message::from_msgpack(msgpack.begin(), msgpack.end(), true, false);
  // Early builds have no version and no counter.
  const size_t skipped = message.is_array() && message.size() < 7 ? 2 : 0;
  const auto wall_s = NumberAt(message, "wall_time", 4 - skipped);
  const Message* scheduled = At(message, "scheduled_requests", 5 - skipped);
  if (message.is_discarded() || !wall_s || scheduled == nullptr) return BadInput("no forward-pass metrics in the message");
  const auto prefills = NumberAt(*scheduled, "num_prefill_requests", 0),
             prefill_tokens = NumberAt(*scheduled, "sum_prefill_tokens", 1);
  const auto prefill_kv = NumberAt(*scheduled, "sum_prefill_kv_tokens", 3),
             decodes = NumberAt(*scheduled, "num_decode_requests", 4);
  const auto decode_kv = NumberAt(*scheduled, "sum_decode_kv_tokens", 5);
  if (!prefills || !prefill_tokens || !prefill_kv || !decodes || !decode_kv)
    return BadInput("the forward-pass metrics do not say which requests were scheduled");
  record::PassRecord pass;
  pass.source = record::Source::kServerReported;
  pass.latency_s = *wall_s;
  AddShares(static_cast<int64_t>(*prefills), static_cast<int64_t>(*prefill_tokens), static_cast<int64_t>(*prefill_kv),
            pass.sequences);
  const bool prefill = !pass.sequences.empty(), decode = *decodes >= 1;
  AddShares(static_cast<int64_t>(*decodes), static_cast<int64_t>(*decodes), static_cast<int64_t>(*decode_kv), pass.sequences);
  if (*wall_s <= 0 || pass.sequences.empty()) return std::optional<record::PassRecord>();
  pass.kind = prefill && decode ? record::PassKind::kMixed : prefill ? record::PassKind::kPrefill : record::PassKind::kDecode;
  return std::optional(std::move(pass));
}

Status PassTelemetry::Add(std::span<const std::string> frames) {
  if (frames.size() != 3 || frames[1].size() != kNumberBytes) return BadInput("telemetry of another form: not three frames");
  uint64_t number = 0;
  for (const char byte : frames[1]) number = number << 8 | static_cast<unsigned char>(byte);
  if (last_ && number != *last_ + 1) taken_.lost = true;
  last_ = number;
  ASSIGN_OR_RETURN(auto pass, ReadForwardPass(frames[2]));
  if (pass) taken_.passes.push_back(std::move(*pass));
  return {};
}

PassTelemetry::Taken PassTelemetry::Take() { return std::exchange(taken_, Taken()); }

}  // namespace moecap::live
