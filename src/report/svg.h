// A small SVG writer: escaping, coordinates, one style sheet for light, dark and print.
//
// Colours are CSS classes: "s0".."s5" set currentColor to the colour of a system, "h0".."h8" fill a heat-map cell. A fragment
// expects ChartStyle() once in the page; a standalone file carries it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::report {

// `text` for element content and quoted attributes: & < > " ' escaped, characters that XML forbids dropped, bytes that are not
// UTF-8 replaced.
std::string EscapeXml(std::string_view text);

struct SvgPoint {
  double x = 0, y = 0;
};

enum class Anchor { kStart, kMiddle, kEnd };
enum class SvgMode { kFragment, kStandalone };

class Svg {
 public:
  // `id` must be unique in a page; `title` and `description` are read by screen readers and shown as tooltip.
  Svg(std::string_view id, double width, double height, std::string_view title, std::string_view description);

  void Line(SvgPoint from, SvgPoint to, std::string_view css);
  void Polyline(const std::vector<SvgPoint>& points, std::string_view css);
  void Polygon(const std::vector<SvgPoint>& points, std::string_view css);
  // `tip`: tooltip, may be empty.
  void Rect(SvgPoint corner, double width, double height, std::string_view css, std::string_view tip = "");
  void Text(SvgPoint at, std::string_view text, std::string_view css = "", Anchor anchor = Anchor::kStart);
  void Path(std::string_view data, std::string_view css);
  // The symbol of system `index`: circle, triangle, square, diamond, inverted triangle, then the same hollow.
  void Marker(size_t index, SvgPoint at, double radius, bool hollow, std::string_view tip = "");

  void Open(std::string_view css);  // <g class="css">
  void Close();

  // Requires every Open to be closed.
  std::string Finish(SvgMode mode) const;

 private:
  friend std::string MarkerIcon(size_t index);
  void Shape(const std::string& element, std::string_view tip);

  std::string head_;
  std::string body_;
  double width_, height_;
  int open_ = 0;
};

// "s0".."s5", the colour class of system `index`.
std::string SystemClass(size_t index);

// The symbol of system `index` in its colour, as a small inline picture without text.
std::string MarkerIcon(size_t index);

// The style sheet of all charts: variables and classes, no <style> tags.
std::string_view ChartStyle();

// Estimated width of 12 px text, in px.
double TextWidth(std::string_view text);

}  // namespace moecap::report
