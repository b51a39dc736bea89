// A recorded trace of expert activations, whatever program recorded it: a header and a stream of passes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"
#include "routing/routed_experts.h"

namespace moecap::trace {

// kNoExpert is the entry of a token that was not routed in a layer (dropped, or skipped by the engine).
using routing::kMostExperts;
using routing::kMostLayers;
using routing::kMostTopK;
using routing::kNoExpert;
// Tokens x layers x top-k of one pass; more is damage or must be split.
inline constexpr int64_t kMostIdsPerPass = int64_t{1} << 26;
// Tokens of one expert in one pass (or in the sum of all).
inline constexpr int64_t kMostCount = int64_t{1} << 40;
inline constexpr int kMostRanks = 1 << 16;
// Places for experts in a layer, replicas among them.
inline constexpr int kMostPlaces = 4096;

// What a trace's passes hold.
enum class Grain : uint8_t {
  kTokenIds = 1,    // the experts of every token
  kPassCounts = 2,  // tokens per expert of every pass
  kTotals = 3,      // tokens per expert, summed over passes that cannot be told apart
};
// "token-ids", "pass-counts", "totals".
std::string_view Name(Grain grain);

// Whose share of the work a recording holds. What its files do not say, and nobody told, is null or empty.
struct TraceShare {
  std::vector<int> ranks;      // whose records it is made of, ascending; empty: not told, or sums over all of them
  std::optional<int> world;    // ranks that worked, by what the files show or the user says
  std::optional<bool> whole;   // false: the counts are a part of what the passes computed, so their tokens are not known
  std::optional<int> devices;  // of the server
  int physical_experts = 0;    // places for experts of a layer, replicas among them; 0: as many as experts, or not told
  std::string cell;            // of a stored run: "F16@8 clients, repetition 0"

  // Of `world`, those that are not among `ranks`. Empty when either is not known.
  std::vector<int> MissingRanks() const;
  friend bool operator==(const TraceShare&, const TraceShare&) = default;
};

struct TraceHeader {
  Grain grain = Grain::kTokenIds;
  int experts = 0;                 // E, 1 .. kMostExperts
  int top_k = 0;                   // 1 .. min(E, kMostTopK); 0 = not known, only where there are no ids
  std::vector<int> layer_numbers;  // of the traced layers in the model, ascending; their count is the number of layers
  bool passes_known = true;        // false: a "pass" is a run of tokens of one request, not a forward pass
  std::string model;               // empty = not known
  std::string origin;              // which program recorded it, e.g. "sglang"
  TraceShare share;
  std::vector<std::string> notes;  // what was assumed or could not be read, one sentence each

  size_t layers() const { return layer_numbers.size(); }
  friend bool operator==(const TraceHeader&, const TraceHeader&) = default;
};

// Error kBadInput: a figure out of the ranges above.
Status CheckHeader(const TraceHeader& header);

struct TracePass {
  int64_t number = 0;                    // in the origin's own counting
  std::optional<record::PassKind> kind;  // null = not known
  int64_t tokens = 0;                    // new tokens of the pass; 0 = none, or not known (where there are counts)
  std::vector<uint32_t> sequences;       // per token, which sequence it belongs to; empty = not known
  std::vector<uint16_t> ids;             // kTokenIds: [layer][token][top-k], kNoExpert where none
  std::vector<int64_t> counts;           // otherwise: [layer][expert]

  // No token was routed: a rank that waited for others.
  bool Idle() const;
  // The ids of one token in one layer: top_k entries.
  const uint16_t* Ids(size_t layer, size_t token, int top_k) const {
    return ids.data() + (layer * static_cast<size_t>(tokens) + token) * static_cast<size_t>(top_k);
  }
  friend bool operator==(const TracePass&, const TracePass&) = default;
};

// Error kBadInput: arrays of the wrong length, ids or counts out of range.
Status CheckPass(const TraceHeader& header, const TracePass& pass);

// Load of the places that experts lie in, where experts were moved or doubled between ranks (EPLB), beside that of the experts.
struct PhysicalLoad {
  std::vector<std::vector<int64_t>> counts;  // [layer][place]: tokens
  std::vector<std::vector<int>> experts;     // [layer][place]: the expert that lies there
  bool empty() const { return counts.empty(); }
};

// A stream of passes. Not for several threads.
class TraceSource {
 public:
  virtual ~TraceSource() = default;
  virtual const TraceHeader& header() const = 0;
  // The next pass into `pass` (its memory is used again); false at the end. After an error or the end, do not call it again.
  virtual Result<bool> Next(TracePass& pass) = 0;
  // What happened while reading, e.g. that the file's end was cut off; complete once Next returned false.
  virtual std::vector<std::string> Warnings() const { return {}; }
  // Empty where places and experts are the same, or where the recording does not tell.
  virtual PhysicalLoad Physical() const { return {}; }
};

}  // namespace moecap::trace
