// What decides when requests are sent, and how much of it: the level of a measurement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moecap::record {

enum class LoadKind : uint8_t {
  kClients,  // closed loop: so many requests in flight
  kRate,     // open loop: so many requests a second
  kUsers,    // conversations: so many users who think between turns
  kReplay    // open loop: the times of the workload's trace
};
std::string_view Name(LoadKind kind);  // "clients", "rates_per_s", "users", "replay": the keys of a configuration

// Requests go out at times of their own, whatever the server does.
bool IsOpenLoop(LoadKind kind);

struct Level {
  LoadKind kind = LoadKind::kClients;
  double value = 1;  // whole, >= 1, for clients and users; > 0 for a rate; 1 for a replay

  friend bool operator==(const Level&, const Level&) = default;
};

// "8 clients", "2.5 requests/s", "3 users", "replayed trace".
std::string Label(const Level& level);
// For file names: "clients-8", "rate-2.5", "users-3", "replay".
std::string FileName(const Level& level);
// Requests in flight that the level itself fixes; 0 for an open loop.
int ClientsOf(const Level& level);

}  // namespace moecap::record
