#include "app/openai_driver.h"

#include <fmt/format.h>

#include <utility>

#include "app/server_connection.h"

namespace moecap::app {
namespace {

using openai::OpenAiSystem;

class Instance final : public run::SystemInstance {
 public:
  explicit Instance(std::unique_ptr<OpenAiSystem> system) : system_(std::move(system)) {}
  load::SystemUnderTest& system() override { return *system_; }
  void BeginMeasurement() override {}
  Status AddRouting(std::vector<record::PassRecord>&) override { return {}; }

 private:
  std::unique_ptr<OpenAiSystem> system_;
};

class Driver final : public run::SystemDriver {
 public:
  Driver(ServerConnection connection, const Clock& clock, run::SystemDescription description)
      : connection_(std::move(connection)), clock_(clock), description_(std::move(description)) {}

  const run::SystemDescription& description() const override { return description_; }
  bool in_process() const override { return false; }

  Result<std::unique_ptr<run::SystemInstance>> Start(int concurrency) override {
    ASSIGN_OR_RETURN(auto system, OpenAiSystem::Create(connection_.options, clock_));
    RETURN_IF_ERROR(system->WarmUp(static_cast<size_t>(concurrency), connection_.connect_limit_ns));
    return std::unique_ptr<run::SystemInstance>(new Instance(std::move(system)));
  }

  void Unload() override {}

 private:
  ServerConnection connection_;
  const Clock& clock_;
  run::SystemDescription description_;
};

Result<std::unique_ptr<run::SystemDriver>> MakeDriver(const run::SystemConfig& system, const Clock& clock) {
  const run::ServerConfig& server = *system.server;
  ASSIGN_OR_RETURN(ServerConnection connection, ConnectServer(server, clock));
  run::SystemDescription description;
  description.name = system.name;
  description.engine = connection.ServerName();
  description.model.id = connection.options.profile.model;
  description.description = fmt::format("{}, {} at {}, api {}", description.engine, description.model.id, connection.url,
                                        openai::Name(connection.options.profile.api));
  return std::unique_ptr<run::SystemDriver>(new Driver(std::move(connection), clock, std::move(description)));
}

}  // namespace

run::DriverFactory OpenAiDriverFactory(const Clock& clock) {
  return [&clock](const run::SystemConfig& system, const run::RunConfig&) { return MakeDriver(system, clock); };
}

}  // namespace moecap::app
