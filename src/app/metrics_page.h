// One text for whoever monitors: GET /metrics, by any name, without state.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "web/http_server.h"

namespace moecap::app {

class MetricsPage final : public web::Service {
 public:
  // `listen`: as of web::ListenAt. Errors as of that and of web::HttpServer::Start.
  static Result<std::unique_ptr<MetricsPage>> Listen(const std::string& listen);

  std::string url() const { return server_->url() + "/metrics"; }
  // From any thread: what is answered from now on.
  void Set(std::string page);

  web::Admission Admit(const web::Head& head) const override;
  web::Response Answer(const web::Request& request) override;

 private:
  std::mutex mutex_;
  std::string page_;
  std::unique_ptr<web::HttpServer> server_;  // ends before what it answers with
};

}  // namespace moecap::app
