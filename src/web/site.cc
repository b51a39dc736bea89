#include "web/site.h"

#include <algorithm>
#include <mutex>

#include "base/clock.h"
#include "web/comparison_page.h"
#include "web/leaderboard.h"
#include "web/library.h"
#include "web/page.h"
#include "web/progress.h"
#include "web/run_pages.h"
#include "web/uploads.h"
#include "web/watches.h"

namespace moecap::web {
namespace {

using Segments = std::vector<std::string>;

bool Is(const Segments& path, std::initializer_list<const char*> names) { return std::ranges::equal(path, names); }

// Begins like that and has `more` further parts.
bool Begins(const Segments& path, std::initializer_list<const char*> names, size_t more) {
  return path.size() == names.size() + more && std::equal(names.begin(), names.end(), path.begin());
}

class Site final : public Service {
 public:
  explicit Site(SiteOptions options) : options_(std::move(options)), library_(options_.results_dir, options_.summarize) {
    if (writable()) ForgetUploads(options_.results_dir);
  }

  Admission Admit(const Head& head) const override {
    Admission admission;
    admission.refusal = Refuse(head, options_.guard);
    if (admission.refusal) {
      AddSecurityFields(*admission.refusal);
    } else if (head.method == "PUT") {
      admission.most_body_bytes = kMostFileBytes;
    }
    return admission;
  }

  Response Answer(const Request& request) override {
    const Segments path = PathSegments(request.head.target).value_or(Segments{});
    const Query query = Query::Of(request.head.target);
    const bool reads = request.head.method == "GET" || request.head.method == "HEAD";
    Response response = reads ? Read(path, query) : Write(request, path);
    AddSecurityFields(response);
    return response;
  }

 private:
  bool writable() const { return options_.guard.token.has_value(); }

  Response Read(const Segments& path, const Query& query) {
    if (path.empty()) return LeaderboardPage(library_, query, writable());
    if (Is(path, {"runs"})) return RunListPage(library_, query, writable());
    if (Begins(path, {"runs"}, 1)) return RunPage(library_, path[1], writable());
    if (Begins(path, {"runs"}, 2)) return RunExport(library_, path[1], path[2]);
    if (Is(path, {"compare"})) return ComparisonPage(library_, query, writable());
    if (Is(path, {"live"})) return LivePage(scans_, writable());
    if (Is(path, {"plan"})) return PlanPage(query, options_.launch, writable());
    if (Is(path, {"import"}) && writable()) return ImportPage();
    if (Begins(path, {"assets"}, 1)) return AssetResponse(path[1]);
    if (path.front() == "api") return ReadApi(path, query);
    return ErrorPage({"Not here", "", writable()}, BadInput("There is no such page."));
  }

  Response ReadApi(const Segments& path, const Query& query) {
    if (Is(path, {"api", "cells"})) return CellsJson(library_, query);
    if (Is(path, {"api", "runs"})) return RunListJson(library_, query);
    if (Begins(path, {"api", "runs"}, 1)) return RunJson(library_, path[2]);
    if (Begins(path, {"api", "runs"}, 2) && path[3] == "progress") return ProgressJson(library_, path[2]);
    if (Is(path, {"api", "compare"})) return ComparisonJson(library_, query);
    if (Is(path, {"api", "live"})) return LiveJson(scans_);
    if (Is(path, {"api", "events"})) return LiveEvents(library_, scans_, query.Has("watches"));
    if (Is(path, {"api", "plan"})) return PlanJson(query, options_.launch);
    return JsonError(BadInput("there is no such address"));
  }

  // One at a time: what is written is checked against what lies there.
  Response Write(const Request& request, const Segments& path) {
    const std::lock_guard lock(writing_);
    if (request.head.method == "PUT" && path.size() > 3 && path[0] == "api" && path[1] == "imports")
      return StoreUpload(library_.results_dir(), Segments(path.begin() + 2, path.end()), request.body);
    if (request.head.method == "POST" && Begins(path, {"api", "imports"}, 1))
      return FinishUpload(library_.results_dir(), path[2], options_.make_figures);
    return JsonError(BadInput("nothing can be written there"));
  }

  SiteOptions options_;
  Library library_;
  SteadyClock clock_;
  LiveScans scans_{library_, clock_};
  std::mutex writing_;
};

}  // namespace

std::unique_ptr<Service> MakeSite(SiteOptions options) { return std::make_unique<Site>(std::move(options)); }

}  // namespace moecap::web
