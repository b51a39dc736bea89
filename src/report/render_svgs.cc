#include "report/layout.h"
#include "report/render.h"

namespace moecap::report {
namespace {

using NamedSvgs = std::vector<std::pair<std::string, std::string>>;

void Collect(const Section& section, NamedSvgs& out) {
  for (const Block& block : section.blocks) {
    const auto* figure = std::get_if<Figure>(&block);
    if (figure == nullptr || IsEmpty(block)) continue;
    std::string svg = DrawPlot(figure->plot, SvgMode::kStandalone);
    if (!svg.empty()) out.emplace_back(FrameOf(figure->plot).id, std::move(svg));
  }
  for (const Section& part : section.parts) Collect(part, out);
}

}  // namespace

NamedSvgs RenderSvgs(const Document& document) {
  CheckDocument(document);
  NamedSvgs out;
  for (const Section& section : document.sections) Collect(section, out);
  return out;
}

}  // namespace moecap::report
