// What the words and commands of mathematical text are.
#pragma once

#include <optional>
#include <string_view>

#include "accuracy/math_tokens.h"

namespace moecap::accuracy::math {

bool IsFunction(std::string_view name);      // sin, log, gcd: takes an argument with or without brackets
bool IsGreek(std::string_view name);         // a letter's name
bool IsDress(std::string_view command);      // only changes how its argument looks: mathbf, boxed
bool IsAccent(std::string_view command);     // makes another symbol of its argument: overline, vec
bool IsSign(std::string_view command);       // stands between or around expressions, never for one: cdot, le, rfloor
bool EndsFactors(std::string_view command);  // no factor begins with it

// A text all of whose words are units: "square feet".
bool IsUnit(std::string_view text);

// "=", "<=", "!=", "in" of a sign or a command; null for what is no relation.
std::optional<std::string_view> RelationOf(const Token& token);

// The function of a command that lost its blank: "cot" of "cotx".
std::optional<std::string_view> FunctionBeforeLetter(std::string_view command);

}  // namespace moecap::accuracy::math
