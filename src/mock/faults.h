// What can go wrong on purpose, per request or on the whole server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace moecap::mock {

enum class FaultKind {
  kRefuse,        // the connection is reset when it is accepted; VALUE ignored
  kStatus,        // answer with HTTP status VALUE and that server's error body; 429 and 503 with Retry-After
  kStallHeaders,  // VALUE seconds between request and status line
  kReset,         // the connection is reset after VALUE tokens
  kTruncate,      // the connection is closed in order, in mid stream, after VALUE tokens
  kStall,         // an hour of silence in mid stream, after VALUE tokens
  kErrorObject,   // an error event after VALUE tokens, then the end of the stream
  kAbort,         // finish reason "abort" after VALUE tokens
  kBadChunk,      // a chunk size that is no number, after VALUE tokens
  kBadJson,       // an event that is no JSON, after VALUE tokens; the stream goes on
  kDrip,          // every byte in a write of its own, VALUE seconds apart
  kSplitUtf8,     // each event with a multi-byte letter is cut inside the letter, VALUE seconds apart
  kNoDone,        // no "data: [DONE]"
  kNoFinish,      // no finish reason in any event
  kDoubleRole,    // chat: the role event comes twice
  kEarlyRole,     // chat: the role event is sent with the headers, before the prompt is read
  kEmptyDeltas,   // an event without text before each token
  kNoTokens,      // the stream ends in order without a token
  kUsageDelay,    // VALUE seconds before the final usage event
  kComments,      // a comment line before each event
  kCrlf,          // lines end in CR LF
  kLongLine,      // after the headers VALUE bytes without a newline, then the end
  kHeaderFlood,   // VALUE header lines of 100 bytes
  kDegrade,       // above VALUE requests in flight on its replica, this one included, an answer has other words
  kCloseAfter,    // the connection is closed right after a complete answer that promised keep-alive
};

struct Fault {
  FaultKind kind = FaultKind::kNoDone;
  double value = 0;
  double probability = 1;
};

// The faults that one request gets.
class FaultSet {
 public:
  FaultSet() = default;
  void Add(const Fault& fault) { faults_.push_back(fault); }
  bool empty() const { return faults_.empty(); }
  bool Has(FaultKind kind) const { return Value(kind).has_value(); }
  // The last one given wins.
  std::optional<double> Value(FaultKind kind) const;

 private:
  std::vector<Fault> faults_;
};

// "NAME", "NAME=VALUE", "NAME@PROBABILITY", "NAME=VALUE@PROBABILITY"; without a value the fault's default.
// Error kBadInput names the spec and the nearest known name, or the accepted values.
Result<Fault> ParseFault(std::string_view spec);
// Comma-separated specs.
Result<std::vector<Fault>> ParseFaults(std::string_view specs);

// Each fault with its probability, independently.
FaultSet DrawFaults(const std::vector<Fault>& faults, Rng& rng);

// One line a fault: name, default value, meaning; for --help and messages.
std::string DescribeFaults();

}  // namespace moecap::mock
