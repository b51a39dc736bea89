#include "app/metrics_page.h"

#include <utility>

namespace moecap::app {

Result<std::unique_ptr<MetricsPage>> MetricsPage::Listen(const std::string& listen) {
  ASSIGN_OR_RETURN(web::ServerOptions options, web::ListenAt(listen));
  options.threads = 1;
  auto page = std::make_unique<MetricsPage>();
  ASSIGN_OR_RETURN(page->server_, web::HttpServer::Start(options, *page));
  return page;
}

void MetricsPage::Set(std::string page) {
  const std::lock_guard lock(mutex_);
  page_ = std::move(page);
}

web::Admission MetricsPage::Admit(const web::Head& head) const {
  if (head.method == "GET" || head.method == "HEAD") return {};
  return {web::Response{405, web::kTextType, "only GET is answered\n", {{"Allow", "GET, HEAD"}}}, 0};
}

web::Response MetricsPage::Answer(const web::Request& request) {
  const std::string& target = request.head.target;
  if (target != "/metrics" && !target.starts_with("/metrics?")) return {404, web::kTextType, "the page is at /metrics\n", {}};
  const std::lock_guard lock(mutex_);
  return {200, "text/plain; version=0.0.4; charset=utf-8", page_, {}};
}

}  // namespace moecap::app
