// What the tests of this folder ask of a drawing or a page.
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

}  // namespace moecap::report
