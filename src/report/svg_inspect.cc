#include "report/svg_inspect.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "base/table.h"
#include "report/svg.h"

namespace moecap::report {
namespace {

// The value of `name="..."` in `tag`, or "".
std::string Attribute(const std::string& tag, const std::string& name) {
  const size_t at = tag.find(" " + name + "=\"");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 3;
  return tag.substr(begin, tag.find('"', begin) - begin);
}

struct TextBox {
  std::string text;
  double left, top, right, bottom;
};

// Estimates as the drawings make them, less the slack that TextWidth has.
std::vector<TextBox> TextBoxes(const std::string& svg) {
  std::vector<TextBox> boxes;
  for (size_t at = svg.find("<text "); at != std::string::npos; at = svg.find("<text ", at + 1)) {
    const size_t close = svg.find('>', at);
    const std::string tag = svg.substr(at, close - at);
    const std::string text = svg.substr(close + 1, svg.find("</text>", close) - close - 1);
    const std::string css = Attribute(tag, "class");
    const double size = css.find("tiny") != std::string::npos ? 10 : css.find("small") != std::string::npos ? 11 : 12;
    const double width = TextWidth(text) * size / 12 * 0.88;
    const double x = std::atof(Attribute(tag, "x").c_str());
    const double y = std::atof(Attribute(tag, "y").c_str());
    const std::string anchor = Attribute(tag, "text-anchor");
    const double left = anchor == "end" ? x - width : anchor == "middle" ? x - width / 2 : x;
    boxes.push_back({text, left, y - size * 0.7, left + width, y});
  }
  return boxes;
}

}  // namespace

std::string XmlFault(std::string text) {
  if (text.starts_with("<!DOCTYPE html>")) text.erase(0, 15);
  std::vector<std::string> open;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '&') {
      const size_t end = text.find(';', at);
      if (end == std::string::npos || end - at > 8) return "bare & at " + text.substr(at, 40);
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    size_t end = at + 1;
    bool quoted = false;
    while (end < text.size() && (quoted || text[end] != '>')) {
      if (text[end] == '"') quoted = !quoted;
      if (text[end] == '<') return "bare < at " + text.substr(at, 40);
      ++end;
    }
    if (end == text.size()) return "open tag at " + text.substr(at, 40);
    const std::string tag = text.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "</" + tag.substr(1) + "> closes nothing";
      open.pop_back();
    } else if (tag.back() != '/') {
      if (open.size() > 100) return "too deep";
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

std::string TextFault(const std::string& svg) {
  const std::string view = Attribute(svg.substr(0, svg.find('>')), "viewBox");
  double width = 0;
  double height = 0;
  if (std::sscanf(view.c_str(), "0 0 %lf %lf", &width, &height) != 2) return "no viewBox";
  const auto boxes = TextBoxes(svg);
  for (size_t i = 0; i < boxes.size(); ++i) {
    const TextBox& a = boxes[i];
    if (a.left < -0.5 || a.right > width + 0.5 || a.top < 0 || a.bottom > height) return "'" + a.text + "' leaves the drawing";
    for (size_t j = 0; j < i; ++j) {
      const TextBox& b = boxes[j];
      if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
        return "'" + a.text + "' lies on '" + b.text + "'";
    }
  }
  return "";
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<size_t> Widths(const std::string& text) {
  std::vector<size_t> widths;
  for (const auto& line : Lines(text)) widths.push_back(DisplayWidth(line));
  return widths;
}

}  // namespace moecap::report
