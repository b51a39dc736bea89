// What a server counted of its own work, for whomever: the other side of what a client counts.
#pragma once

#include <optional>
#include <string>

namespace moecap::load {

// Since the server was started, or of a stretch of time; null = it does not tell.
struct ServerCounters {
  std::optional<double> prompt_tokens;     // of all prompts, from the prefix cache or computed
  std::optional<double> cached_tokens;     // of those, found in the prefix cache
  std::optional<double> generated_tokens;  // of all answers
  // Requests that ended well: of some servers those that ended less the aborted, which falls where one is aborted in the queue.
  std::optional<double> finished;
  std::optional<double> aborted;          // requests that were given up
  std::optional<double> process_start_s;  // when its process was started, Unix time; of several servers the sum

  friend bool operator==(const ServerCounters&, const ServerCounters&) = default;
};

// Of two servers together; null where one of them does not tell.
ServerCounters SumOf(const ServerCounters& a, const ServerCounters& b);

// By how much they grew between two readings; process_start_s is that of the later one. Null where one of the two does not
// tell; 0 where `finished` fell. A server that was started anew counts from 0: then everything is null.
ServerCounters GrowthOf(const ServerCounters& before, const ServerCounters& after);

// Why the server must have been started anew between two readings; "" = nothing shows it.
std::string WhyRestarted(const ServerCounters& before, const ServerCounters& after);

}  // namespace moecap::load
