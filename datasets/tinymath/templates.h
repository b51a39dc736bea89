// The template language of tinymath.
//
// operands: space-separated
//   a:12..99          an integer of the range          p:1.25..9.75/0.25  a decimal in steps of 0.25
//   e:120..990%d      a multiple of the operand d      n<d                a condition on two operands
// steps: one binary operation each, "#k" is the result of step k
//   a*b  #1+c  #2/100    a division must come out whole unless "~" follows (then two decimals are allowed)
//   n|d+m|d              sum of two fractions; the result is written as a fraction
// wordings: {a} an operand, {$a} as money, {name} {name2} {item} {item2} {place}, [x|y] a free choice of words
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace moecap::tinymath {

struct Template {
  std::string_view id;
  std::string_view operands;
  std::string_view steps;
  std::array<std::string_view, 2> wordings;
};

std::span<const Template> ShortTemplates();   // 2 to 4 steps
std::span<const Template> MediumTemplates();  // 5 and 6 steps
std::span<const Template> LongTemplates();    // 7 and 8 steps

}  // namespace moecap::tinymath
