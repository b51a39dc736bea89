// The pages and the API of `moecap serve`: which address is answered by what. docs/serve.md lists them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analysis/judge.h"
#include "analysis/transfer.h"
#include "web/guard.h"
#include "web/http_server.h"
#include "web/plan_page.h"

namespace moecap::web {

struct SiteOptions {
  std::filesystem::path results_dir;
  GuardOptions guard;
  analysis::Summarizer summarize;      // the figures of a stored run of any kind
  analysis::FigureMaker make_figures;  // of a run that is imported
  LaunchLine launch;
};

std::unique_ptr<Service> MakeSite(SiteOptions options);

}  // namespace moecap::web
