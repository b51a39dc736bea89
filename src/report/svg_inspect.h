// What the tests of this folder ask of a drawing, a page or a screen.
#pragma once

#include <string>
#include <vector>

namespace moecap::report {

// The first fault of `text` as XML: tags nest and close, attributes are quoted, no bare '<' or '&'. Empty when it is well
// formed.
std::string XmlFault(std::string text);

// How often `what` occurs.
size_t Count(const std::string& text, const std::string& what);

// The first visible text of the SVG `svg` that leaves the drawing or lies on another text, by estimated widths; empty when
// none does.
std::string TextFault(const std::string& svg);

// The lines of `text`, and how many columns of a terminal each takes.
std::vector<std::string> Lines(const std::string& text);
std::vector<size_t> Widths(const std::string& text);

}  // namespace moecap::report
