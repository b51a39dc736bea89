#include <fmt/format.h>

#include <cctype>
#include <set>

#include "report/html_style.h"
#include "report/html_table.h"
#include "report/layout.h"
#include "report/render.h"
#include "report/svg.h"

namespace moecap::report {
namespace {

// What drawings may take of a page; those beyond are given by their figures. Expert heat maps of large models reach it.
constexpr size_t kMostDrawnBytes = 1'500'000;
// From so many sections on, the page begins with links to them.
constexpr size_t kSectionsOfContents = 4;

std::string Anchor(const Section& section) {
  std::string anchor;
  for (const char c : section.anchor.empty() ? section.heading : section.anchor) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) {
      anchor += static_cast<char>(std::tolower(byte));
    } else if (!anchor.empty() && anchor.back() != '-') {
      anchor += '-';
    }
  }
  return anchor;
}

std::string Items(const char* tag, const char* css, const std::vector<std::string>& items) {
  std::string out = fmt::format("<{} class=\"{}\">\n", tag, css);
  for (const auto& item : items) out += "<li>" + EscapeXml(item) + "</li>\n";
  return items.empty() ? "" : out + fmt::format("</{}>\n", tag);
}

std::string Pairs(const KeyValues& pairs, const char* css) {
  std::string out = fmt::format("<dl{}>\n", css);
  for (const auto& [label, text] : pairs.items) {
    if (!text.empty()) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapeXml(label), EscapeXml(text));
  }
  return out + "</dl>\n";
}

bool IsSentences(const Block& block) {
  return std::holds_alternative<Paragraph>(block) || std::holds_alternative<Notes>(block) ||
         std::holds_alternative<KeyValues>(block);
}

const char* GridOf(PlotWidth width) {
  switch (width) {
    case PlotWidth::kThird:
      return "grid3";
    case PlotWidth::kHalf:
      return "grid2";
    case PlotWidth::kFull:
      break;
  }
  return "wide";
}

class HtmlPage {
 public:
  struct Link {
    std::string anchor, heading;
  };

  // Of the sections appended so far, without their parts.
  const std::vector<Link>& links() const { return links_; }

  void Append(const Section& section) {
    if (IsEmpty(section)) return;
    const bool folds = section.detail == Detail::kFolded || section.detail == Detail::kPageOnly;
    const bool folded = folds && !section.heading.empty();
    const std::string id = Unique(Anchor(section));
    if (level_ == 2 && !section.heading.empty()) links_.push_back({id, section.heading});
    const std::string attribute = id.empty() ? "" : " id=\"" + id + "\"";
    const std::string heading = fmt::format("<h{0}>{1}</h{0}>", level_, EscapeXml(section.heading));
    out_ += folded
                ? fmt::format("<details{}{}><summary>{}</summary>\n", attribute, level_ == 2 ? " class=\"fold\"" : "", heading)
                : fmt::format("<section{}>\n{}", attribute, section.heading.empty() ? "" : heading + "\n");
    ++level_;
    AppendBlocks(section.blocks);
    for (const Section& part : section.parts) Append(part);
    --level_;
    out_ += folded ? "</details>\n" : "</section>\n";
  }

  void operator()(const Paragraph& paragraph) { out_ += "<p>" + EscapeXml(Text(paragraph)) + "</p>\n"; }

  void operator()(const Notes& notes) {
    Title(notes.title);
    out_ += Items("ul", notes.kind == Notes::Kind::kWarning ? "warn" : "notes", notes.items);
  }

  void operator()(const KeyValues& pairs) {
    Title(pairs.title);
    out_ += Pairs(pairs, "");
  }

  void operator()(const Code& code) {
    Title(code.title);
    out_ += "<pre><code>";
    std::string_view rest = code.text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      out_ += EscapeXml(line) + "\n";
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    out_ += "</code></pre>\n";
  }

  void operator()(const Table& table) { out_ += HtmlTable(table, TableId()); }

  void operator()(const Figure& figure) {
    std::string svg = DrawPlot(figure.plot, SvgMode::kFragment);
    const PlotFrame& frame = FrameOf(figure.plot);
    if (drawn_ + svg.size() > kMostDrawnBytes)
      svg = "<p>" + EscapeXml(frame.title) + ": too large for this page; drawn in the SVG files of this report.</p>\n";
    drawn_ += svg.size();
    // Wide plots stay readable on a phone, which scrolls them.
    const bool wide = figure.width == PlotWidth::kFull;
    out_ += wide ? "<figure>\n<div class=\"scroll\"><div class=\"heat\">\n" + svg + "</div></div>\n" : "<figure>\n" + svg;
    if (!figure.caption.empty()) out_ += "<figcaption>" + EscapeXml(figure.caption) + "</figcaption>\n";
    out_ += "<details class=\"data\"><summary>figures</summary>" + HtmlTable(TableFor(figure.plot), TableId(), false) +
            "</details>\n</figure>\n";
  }

  std::string Take() { return std::move(out_); }

 private:
  void AppendBlocks(const std::vector<Block>& blocks) {
    std::vector<const Block*> shown;
    for (const Block& block : blocks) {
      if (!IsEmpty(block)) shown.push_back(&block);
    }
    for (size_t begin = 0; begin < shown.size();) {
      const auto* figure = std::get_if<Figure>(shown[begin]);
      size_t end = begin + 1;
      if (figure == nullptr) {
        std::visit(*this, *shown[begin]);
        begin = end;
        continue;
      }
      const auto same_width = [&](const Block& block) {
        const auto* other = std::get_if<Figure>(&block);
        return other != nullptr && other->width == figure->width;
      };
      while (end < shown.size() && same_width(*shown[end])) ++end;
      const bool pair = end == begin + 1 && figure->width == PlotWidth::kHalf && end < shown.size() && IsSentences(*shown[end]);
      out_ += fmt::format("<div class=\"{}\">\n", pair ? "pair" : GridOf(figure->width));
      for (; begin < end; ++begin) std::visit(*this, *shown[begin]);
      if (pair) out_ += "<div>\n";
      for (; pair && begin < shown.size() && IsSentences(*shown[begin]); ++begin) std::visit(*this, *shown[begin]);
      out_ += pair ? "</div>\n</div>\n" : "</div>\n";
    }
  }

  void Title(const std::string& text) {
    if (!text.empty()) out_ += fmt::format("<h{0}>{1}</h{0}>\n", level_, EscapeXml(text));
  }

  std::string TableId() { return fmt::format("table-{}", ++tables_); }

  std::string Unique(std::string id) {
    if (id.empty()) return id;
    const std::string base = id;
    for (int i = 2; !ids_.insert(id).second; ++i) id = fmt::format("{}-{}", base, i);
    return id;
  }

  std::string out_;
  int level_ = 2;
  size_t tables_ = 0;
  size_t drawn_ = 0;
  std::set<std::string> ids_;
  std::vector<Link> links_;
};

std::string Contents(const std::vector<HtmlPage::Link>& links) {
  if (links.size() < kSectionsOfContents) return "";
  std::string out = "<nav aria-label=\"Contents\">\n";
  for (const auto& [anchor, heading] : links) out += fmt::format("<a href=\"#{}\">{}</a>\n", anchor, EscapeXml(heading));
  return out + "</nav>\n";
}

std::string Header(const Document& document, const std::vector<HtmlPage::Link>& links) {
  const bool verdict = !document.headline.empty();
  std::string out = "<header>\n";
  if (verdict) out += "<p class=\"kicker\">" + EscapeXml(FullTitle(document)) + "</p>\n";
  for (const auto& warning : document.warnings) out += "<p class=\"alarm\" role=\"alert\">" + EscapeXml(warning) + "</p>\n";
  out += "<h1>" + EscapeXml(verdict ? document.headline.front() : FullTitle(document)) + "</h1>\n";
  if (!document.subtitle.empty()) out += "<p class=\"lead\">" + EscapeXml(document.subtitle) + "</p>\n";
  if (verdict) out += Items("ul", "findings", {document.headline.begin() + 1, document.headline.end()});
  if (!IsEmpty(document.about)) out += Pairs(document.about, " class=\"meta\"");
  return out + Contents(links) + "</header>\n";
}

}  // namespace

std::string HtmlStyle() { return std::string(ChartStyle()) + std::string(PageStyle()); }

std::string RenderHtmlSection(const Section& section) {
  HtmlPage page;
  page.Append(section);
  return page.Take();
}

std::string RenderHtmlBody(const Document& document) {
  CheckDocument(document);
  HtmlPage page;
  for (const Section& section : document.sections) page.Append(section);
  std::string out = Header(document, page.links()) + "<main>\n" + page.Take() + "</main>\n";
  if (!document.footer.empty()) out += "<footer>" + EscapeXml(document.footer) + "</footer>\n";
  return out;
}

std::string RenderHtml(const Document& document) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
         "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>" +
         EscapeXml(FullTitle(document)) + "</title>\n<style>" + HtmlStyle() + "</style>\n</head>\n<body>\n" +
         RenderHtmlBody(document) + "</body>\n</html>\n";
}

}  // namespace moecap::report
