// Looks at a server for `moecap watch`: its /metrics, who it is, the energy counters of this machine where it is the server's.
#pragma once

#include <memory>
#include <string>

#include "app/server_connection.h"
#include "base/clock.h"
#include "base/result.h"
#include "experiment/energy_meter.h"
#include "hardware/energy_reading.h"
#include "live/pass_telemetry.h"
#include "live/watcher.h"
#include "net/http_client.h"
#include "net/zmtp_subscriber.h"

namespace moecap::app {

class LiveServer {
 public:
  // `energy`: what is counted of this machine; null with the reason. `clock` must outlive it. Errors as of
  // net::HttpClient::Create.
  static Result<LiveServer> Create(const ServerConnection& connection, std::unique_ptr<experiment::EnergyMeter> energy,
                                   std::string energy_missing, const hardware::UsedDevices& used, const Clock& clock);

  // From here on the looks hold the passes that the engine publishes at that address. Waits at most 5 s for a connection.
  // Errors as of net::ZmtpSubscriber::Connect and Await.
  Status Subscribe(const std::string& address);

  // Blocks until the page is there, at most `limit_ns`. Probes are left to the caller.
  live::Look Look(int64_t limit_ns);

 private:
  LiveServer(const ServerConnection& connection, std::unique_ptr<net::HttpClient> client, const Clock& clock)
      : connection_(connection), client_(std::move(client)), clock_(&clock) {}
  void LookAtEngine(int64_t limit_ns, live::Look& look);
  // Asks who answers, and writes down what is another than at first.
  void AskWhoItIs(int64_t limit_ns, live::Look& look);
  void ReadEnergy(live::Look& look);
  // After the page, so that passes and counters are of the same time but for what lies between the two.
  void ReadPasses(live::Look& look);

  ServerConnection connection_;
  std::unique_ptr<net::HttpClient> client_;
  const Clock* clock_;
  std::unique_ptr<experiment::EnergyMeter> energy_;
  std::string energy_missing_;
  hardware::UsedDevices used_;
  std::string pass_address_;
  std::optional<net::ZmtpSubscriber> passes_;
  live::PassTelemetry telemetry_;
  bool was_subscribed_ = false;  // at the last look
  int looks_ = 0;
  bool was_away_ = false;
};

}  // namespace moecap::app
