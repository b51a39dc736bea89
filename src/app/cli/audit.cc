// moecap audit: published figures against the same figures computed here.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/audit_pictures.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "audit/claim_file.h"
#include "audit/evaluate.h"
#include "audit/render.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

struct AuditFlags {
  std::vector<std::string> paths = {"examples/paper"};
  std::string write_to;
  bool json = false;
};

// The claim files that `path` names: itself, or the .yaml files of a folder by name.
Status AddClaimFiles(const fs::path& path, std::vector<fs::path>& files) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return BadInput(
        fmt::format("{}: no such file or folder; give claim files or a folder of them, e.g. examples/paper", path.string()));
  }
  if (!fs::is_directory(path, error)) {
    files.push_back(path);
    return {};
  }
  const size_t before = files.size();
  for (auto entry = fs::directory_iterator(path, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path extension = entry->path().extension();
    if (extension == ".yaml" || extension == ".yml") files.push_back(entry->path());
  }
  if (error) return BadInput(fmt::format("{}: {}", path.string(), error.message()));
  if (files.size() == before) return BadInput(fmt::format("{}: the folder has no .yaml file", path.string()));
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
  return {};
}

struct Loaded {
  std::vector<audit::ClaimFile> files;
  std::vector<audit::FileReport> reports;
};

Result<Loaded> Load(const std::vector<fs::path>& paths, const audit::Sources& sources) {
  Loaded loaded;
  for (const fs::path& path : paths) {
    ASSIGN_OR_RETURN(audit::ClaimFile file, audit::ReadClaimFile(path));
    audit::FileReport report{path.string(), file.publication, file.title, {}};
    for (const audit::Claim& claim : file.claims) {
      ASSIGN_OR_RETURN(audit::ClaimReport evaluated, Evaluate(claim, sources));
      report.claims.push_back(std::move(evaluated));
    }
    loaded.reports.push_back(std::move(report));
    loaded.files.push_back(std::move(file));
  }
  return loaded;
}

Status WriteTo(const fs::path& dir, const Loaded& loaded, const audit::Sources& sources) {
  ASSIGN_OR_RETURN(const std::vector<AuditPicture> pictures, DrawAuditPictures(loaded.files, sources));
  RETURN_IF_ERROR(MakeWritableDir(dir));
  RETURN_IF_ERROR(WriteFileAtomically(dir / "audit.json", DumpJsonPretty(audit::ToJson(loaded.reports))));
  for (const AuditPicture& picture : pictures) RETURN_IF_ERROR(WriteFileAtomically(dir / (picture.name + ".svg"), picture.svg));
  std::string markdown = audit::RenderMarkdown(loaded.reports);
  if (!pictures.empty()) markdown += "\n## Figures\n";
  for (const AuditPicture& picture : pictures) markdown += fmt::format("\n![{0}]({0}.svg)\n", picture.name);
  return WriteFileAtomically(dir / "audit.md", markdown);
}

void Print(const std::vector<audit::FileReport>& reports) {
  for (const audit::FileReport& report : reports)
    fmt::print("{}\n", audit::RenderText(report, TerminalWidth(), WantsUnicode()));
  fmt::print("{}\nOf their figures {}\n", audit::Sentence(audit::CountClaims(reports), "claims"),
             audit::Sentence(audit::CountFigures(reports), ""));
}

Status Audit(const AuditFlags& flags) {
  ASSIGN_OR_RETURN(const model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  const audit::Sources sources{models, devices, prices};
  std::vector<fs::path> files;
  for (const std::string& path : flags.paths) RETURN_IF_ERROR(AddClaimFiles(path, files));
  ASSIGN_OR_RETURN(const Loaded loaded, Load(files, sources));
  if (!flags.write_to.empty()) RETURN_IF_ERROR(WriteTo(flags.write_to, loaded, sources));
  if (flags.json) {
    const std::string text = DumpJsonPretty(audit::ToJson(loaded.reports));
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    Print(loaded.reports);
  }
  return {};
}

}  // namespace

Action AddAudit(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<AuditFlags>();
  app.add_option("path", flags->paths, "claim files, or folders of them (default examples/paper)");
  app.add_option("--write-to", flags->write_to, "also write audit.md, audit.json and the figures as SVG into this folder");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap audit examples/paper --write-to audit-report");
  return [flags] { return Audit(*flags); };
}

}  // namespace moecap::app
