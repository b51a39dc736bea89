#include "accuracy/latex_text.h"

#include <algorithm>
#include <array>

#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

struct Command {
  const char* name;
  const char* text;
};
constexpr std::array kCommands{
    Command{"pi", "π"},       Command{"alpha", "α"},       Command{"beta", "β"},        Command{"gamma", "γ"},
    Command{"delta", "δ"},    Command{"epsilon", "ϵ"},     Command{"theta", "θ"},       Command{"lambda", "λ"},
    Command{"mu", "μ"},       Command{"rho", "ρ"},         Command{"sigma", "σ"},       Command{"tau", "τ"},
    Command{"phi", "ϕ"},      Command{"omega", "ω"},       Command{"infty", "∞"},       Command{"cdot", "·"},
    Command{"times", "×"},    Command{"div", "÷"},         Command{"pm", "±"},          Command{"mp", "∓"},
    Command{"le", "≤"},       Command{"leq", "≤"},         Command{"ge", "≥"},          Command{"geq", "≥"},
    Command{"ne", "≠"},       Command{"neq", "≠"},         Command{"cup", "∪"},         Command{"cap", "∩"},
    Command{"in", "∈"},       Command{"emptyset", "∅"},    Command{"circ", "∘"},        Command{"ldots", "…"},
    Command{"dots", "…"},     Command{"cdots", "⋯"},       Command{"angle", "∠"},       Command{"sin", "sin"},
    Command{"cos", "cos"},    Command{"tan", "tan"},       Command{"cot", "cot"},       Command{"sec", "sec"},
    Command{"csc", "csc"},    Command{"arcsin", "arcsin"}, Command{"arccos", "arccos"}, Command{"arctan", "arctan"},
    Command{"log", "log"},    Command{"ln", "ln"},         Command{"exp", "exp"},       Command{"max", "max"},
    Command{"min", "min"},    Command{"gcd", "gcd"},       Command{"to", "→"},          Command{"quad", "  "},
    Command{"qquad", "    "}, Command{"ell", "ℓ"}};

class Writer {
 public:
  explicit Writer(std::string_view latex) : rest_(latex) {}

  std::string Run() {
    std::string text;
    while (!rest_.empty()) text += Next(0);
    return text;
  }

 private:
  // The text of the next character, group or command.
  std::string Next(int depth) {
    constexpr int kMostDepth = 100;
    const char c = rest_.front();
    if (depth > kMostDepth) {
      rest_ = {};
      return {};
    }
    if (c == '\\') return CommandText(depth);
    if (c == '{') return GroupText(depth);
    if (c == '$' || c == '}') {
      rest_.remove_prefix(1);
      return {};
    }
    if (c == '~') {
      rest_.remove_prefix(1);
      return " ";
    }
    const size_t size = FirstCharacterSize(rest_);
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }

  // Of a group its inside; the closing brace is taken.
  std::string GroupText(int depth) {
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty() && rest_.front() != '}') text += Next(depth + 1);
    if (!rest_.empty()) rest_.remove_prefix(1);
    return text;
  }

  std::string Argument(int depth) {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    return rest_.empty() ? "" : Next(depth + 1);
  }

  void SkipOption() {
    if (rest_.empty() || rest_.front() != '[') return;
    rest_.remove_prefix(std::min(rest_.find(']'), rest_.size() - 1) + 1);
  }

  std::string CommandText(int depth) {
    size_t end = 1;
    while (end < rest_.size() && IsLetter(rest_[end])) ++end;
    if (end == 1) return Escaped();
    const std::string name(rest_.substr(1, end - 1));
    rest_.remove_prefix(end);
    if (name == "frac" || name == "dfrac" || name == "tfrac") {
      std::string over = Argument(depth);
      return over + "/" + Argument(depth);
    }
    if (name == "sqrt") {
      SkipOption();
      return "√(" + Argument(depth) + ")";
    }
    if (name == "begin") return BlockText(depth);
    if (name == "left" || name == "right") {
      if (rest_.starts_with('.')) rest_.remove_prefix(1);
      return {};
    }
    const auto known =
        std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& command) { return name == command.name; });
    // A command takes the blanks behind it.
    const size_t blanks = std::min(rest_.find_first_not_of(' '), rest_.size());
    rest_.remove_prefix(blanks);
    return known == kCommands.end() ? "" : known->text;
  }

  std::string Escaped() {
    const char c = rest_.size() > 1 ? rest_[1] : ' ';
    rest_.remove_prefix(std::min<size_t>(rest_.size(), 2));
    if (c == '\\') return "\n";
    if (c == '{' || c == '}' || c == '%' || c == '$' || c == '&' || c == '#' || c == '_') return std::string(1, c);
    return c == ',' || c == ';' || c == ':' || c == ' ' ? " " : "";
  }

  // \begin{...} ... \end{...}: of a matrix its rows.
  std::string BlockText(int depth) {
    const std::string name = Argument(depth);
    const std::string close = "\\end{" + name + "}";
    const size_t end = std::min(rest_.find(close), rest_.size());
    std::string inside = Writer(rest_.substr(0, end)).Run();
    rest_.remove_prefix(std::min(end + close.size(), rest_.size()));
    if (!name.ends_with("matrix")) return inside;
    Replace(inside, " ", "");
    Replace(inside, "&", " ");
    while (inside.ends_with('\n')) inside.pop_back();
    Replace(inside, "\n", "; ");
    return "[ " + inside + " ]";
  }

  std::string_view rest_;
};

}  // namespace

std::string LatexAsText(std::string_view latex) { return Writer(latex).Run(); }

}  // namespace moecap::accuracy
