#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/table.h"

namespace moecap::report {
namespace {

// Coordinates to a tenth of a pixel keep the files small.
std::string Px(double value) {
  const double tenths = std::round(value * 10) / 10;
  return fmt::format("{:g}", tenths == 0 ? 0.0 : tenths);
}

std::string Points(const std::vector<SvgPoint>& points) {
  std::string out;
  for (const auto& point : points) out += (out.empty() ? "" : " ") + Px(point.x) + "," + Px(point.y);
  return out;
}

}  // namespace

std::string EscapeXml(std::string_view text) {
  std::string out;
  for (const char c : PrintableText(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Svg::Svg(std::string_view id, double width, double height, std::string_view title, std::string_view description)
    : width_(width), height_(height) {
  head_ = fmt::format(R"( role="img" aria-labelledby="{0}-t {0}-d"><title id="{0}-t">{1}</title><desc id="{0}-d">{2}</desc>)",
                      EscapeXml(id), EscapeXml(title), EscapeXml(description));
}

void Svg::Shape(const std::string& element, std::string_view tip) {
  // `element` lacks its end.
  body_ += "<" + element;
  const std::string name = element.substr(0, element.find(' '));
  body_ += tip.empty() ? "/>" : fmt::format("><title>{}</title></{}>", EscapeXml(tip), name);
}

void Svg::Line(SvgPoint from, SvgPoint to, std::string_view css) {
  Shape(fmt::format(R"(line x1="{}" y1="{}" x2="{}" y2="{}" class="{}")", Px(from.x), Px(from.y), Px(to.x), Px(to.y), css), "");
}

void Svg::Polyline(const std::vector<SvgPoint>& points, std::string_view css) {
  Shape(fmt::format(R"(polyline points="{}" class="{}")", Points(points), css), "");
}

void Svg::Polygon(const std::vector<SvgPoint>& points, std::string_view css) {
  Shape(fmt::format(R"(polygon points="{}" class="{}")", Points(points), css), "");
}

void Svg::Rect(SvgPoint corner, double width, double height, std::string_view css, std::string_view tip) {
  Shape(fmt::format(R"(rect x="{}" y="{}" width="{}" height="{}" class="{}")", Px(corner.x), Px(corner.y), Px(width),
                    Px(height), css),
        tip);
}

void Svg::Text(SvgPoint at, std::string_view text, std::string_view css, Anchor anchor) {
  static constexpr std::array<const char*, 3> kAnchors = {"", R"( text-anchor="middle")", R"( text-anchor="end")"};
  const std::string classes = css.empty() ? "" : fmt::format(R"( class="{}")", css);
  body_ += fmt::format(R"(<text x="{}" y="{}"{}{}>{}</text>)", Px(at.x), Px(at.y), classes,
                       kAnchors[static_cast<size_t>(anchor)], EscapeXml(text));
}

void Svg::Path(std::string_view data, std::string_view css) { Shape(fmt::format(R"(path d="{}" class="{}")", data, css), ""); }

void Svg::Marker(size_t index, SvgPoint at, double radius, bool hollow, std::string_view tip) {
  const bool again = index % 10 >= 5;
  const char* css = hollow || again ? "hollow" : "dot";
  const double r = radius;
  const auto shape = [&](const std::vector<std::array<double, 2>>& corners) {
    std::vector<SvgPoint> points;
    for (const auto& corner : corners) points.push_back({at.x + corner[0] * r, at.y + corner[1] * r});
    Shape(fmt::format(R"(polygon points="{}" class="{}")", Points(points), css), tip);
  };
  switch (index % 5) {
    case 0:
      return Shape(fmt::format(R"(circle cx="{}" cy="{}" r="{}" class="{}")", Px(at.x), Px(at.y), Px(r), css), tip);
    case 1:
      return shape({{0, -1.15}, {1.1, 0.85}, {-1.1, 0.85}});
    case 2:
      return shape({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
    case 3:
      return shape({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
    default:
      return shape({{0, 1.15}, {1.1, -0.85}, {-1.1, -0.85}});
  }
}

void Svg::Open(std::string_view css) {
  body_ += fmt::format(R"(<g class="{}">)", css);
  ++open_;
}

void Svg::Close() {
  body_ += "</g>";
  --open_;
}

std::string MarkerIcon(size_t index) {
  Svg svg("", 14, 14, "", "");
  svg.Marker(index, {7, 7}, 5, false);
  return fmt::format(R"(<svg class="chart icon {}" viewBox="0 0 14 14" aria-hidden="true">{}</svg>)", SystemClass(index),
                     svg.body_);
}

std::string Svg::Finish(SvgMode mode) const {
  CHECK(open_ == 0);
  std::string out = R"(<svg class="chart" viewBox="0 0 )" + Px(width_) + " " + Px(height_) + '"';
  if (mode == SvgMode::kFragment) return out + head_ + body_ + "</svg>\n";
  out += fmt::format(R"( xmlns="http://www.w3.org/2000/svg" width="{}" height="{}")", Px(width_), Px(height_));
  out += head_;
  out += "<style>";
  out += ChartStyle();
  out += "</style>";
  out += R"(<rect width="100%" height="100%" class="paper"/>)";
  return out + body_ + "</svg>\n";
}

std::string SystemClass(size_t index) { return fmt::format("s{}", index % 6); }

double TextWidth(std::string_view text) { return 7.2 * static_cast<double>(DisplayWidth(text)); }

std::string_view ChartStyle() {
  // Six hues that keep their distance under the common colour blindnesses; every system also has its own marker shape.
  return R"css(
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2127;--muted:#59626d;--grid:#e4e7eb;--edge:#aab2bc;--bad:#b3261e;
--c0:#0b62a8;--c1:#c2500a;--c2:#0a7f64;--c3:#a23b8c;--c4:#856600;--c5:#5a6068;
--h0:#2b6ca3;--h1:#5a93c4;--h2:#92b9dc;--h3:#c9dcee;--h4:#f3f1ec;--h5:#f9dcc0;--h6:#f3b47f;--h7:#e0833b;--h8:#b8560f;
--never:#b4b8bd;
--strong:#1c2127;--extreme:#fff}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e6e8eb;--muted:#a0a8b2;--grid:#2b3037;
--edge:#5b6570;--bad:#ff8a80;
--c0:#5ab0f2;--c1:#f49a5b;--c2:#3ccfa8;--c3:#e08bd0;--c4:#dfbf45;--c5:#b4bac4;
--h0:#7db7ea;--h1:#5a93c4;--h2:#3f6c95;--h3:#2f4a63;--h4:#282c32;--h5:#56402c;--h6:#8c5a2b;--h7:#c97a33;--h8:#f5a65b;
--never:#6a7078;
--strong:#14171b;--extreme:#14171b}}
.s0{color:var(--c0)}.s1{color:var(--c1)}.s2{color:var(--c2)}.s3{color:var(--c3)}.s4{color:var(--c4)}.s5{color:var(--c5)}
.chart{display:block;width:100%;height:auto;
font:12px/1.3 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
.chart text{fill:var(--ink)}.chart .title{font-size:13px;font-weight:600}.chart .muted{fill:var(--muted)}
.chart .small{font-size:11px}
.chart .tiny{font-size:10px}.chart .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.chart .alarm{fill:var(--bad)}.chart .name{fill:currentColor;font-weight:600}.chart .paper{fill:var(--paper)}
.chart .grid{stroke:var(--grid);fill:none}.chart .axis{stroke:var(--edge);fill:none}.chart .mark{stroke:var(--muted);
stroke-dasharray:2 3;fill:none}
.chart .line{stroke:currentColor;stroke-width:2;fill:none;stroke-linejoin:round}.chart .dash{stroke:currentColor;
stroke-width:1.5;stroke-dasharray:5 4;fill:none}
.chart .under1{stroke-width:5}.chart .under2{stroke-width:8}.chart .under3{stroke-width:11}
.chart .thin{stroke:currentColor;stroke-width:1.25;fill:none}.chart .area{fill:currentColor;fill-opacity:.1}
.chart .dot{fill:currentColor;stroke:var(--paper)}
.chart .hollow{fill:var(--paper);stroke:currentColor;stroke-width:1.75}.chart .bar{fill:currentColor;fill-opacity:.82}
.chart .band{fill:currentColor;fill-opacity:.16}.chart .roof{stroke:var(--ink);stroke-width:1.5;fill:none}
.chart .step{stroke:var(--muted);stroke-width:1.25;fill:none}
.chart .leader{stroke:var(--edge);fill:none}
.chart .whisker{stroke:var(--ink);stroke-width:1.25}
.h0{fill:var(--h0)}.h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}.h5{fill:var(--h5)}
.h6{fill:var(--h6)}.h7{fill:var(--h7)}.h8{fill:var(--h8)}
.hn{fill:var(--never)}.chart .strong{fill:var(--strong)}.chart .extreme{fill:var(--extreme)}
)css";
}

}  // namespace moecap::report
