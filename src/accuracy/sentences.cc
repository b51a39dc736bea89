#include "accuracy/sentences.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

bool IsEnd(char32_t c) { return c == '.' || c == '?' || c == '!'; }
// What punkt divides from words.
bool IsPunktMark(char32_t c) { return std::u32string_view(U"?!)\";}]*:@'({[").find(c) != std::u32string_view::npos; }
// What punkt moves to the end of the sentence before.
bool IsCloser(char32_t c) { return std::u32string_view(U"\"')]}").find(c) != std::u32string_view::npos; }
// Quotes that punkt's versions treat differently.
bool IsCurlyQuote(char32_t c) { return std::u32string_view(U"”’“„»«").find(c) != std::u32string_view::npos; }
bool IsAsciiLetter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Words of up to three letters that are surely no abbreviations.
const std::set<std::u32string_view>& ShortWords() {
  static const std::set<std::u32string_view> words{
      U"it",  U"me",  U"you", U"him", U"her", U"us",  U"day", U"way", U"all", U"one", U"two", U"out", U"up",  U"too",
      U"now", U"is",  U"was", U"do",  U"so",  U"be",  U"go",  U"yes", U"the", U"and", U"are", U"on",  U"in",  U"to",
      U"off", U"old", U"new", U"top", U"end", U"man", U"men", U"job", U"joy", U"sky", U"sea", U"fun", U"run", U"see",
      U"say", U"own", U"use", U"try", U"ten", U"six", U"car", U"dog", U"cat", U"boy", U"bit", U"big", U"bad", U"age",
      U"air", U"art", U"bed", U"box", U"eye", U"far", U"few", U"gas", U"god", U"hot", U"law", U"lot", U"low", U"map",
      U"red", U"sun", U"tea", U"war", U"win", U"who", U"why", U"how", U"met", U"put", U"set", U"get", U"got", U"had",
      U"has", U"let", U"did", U"ago", U"any", U"for", U"by",  U"we",  U"he",  U"my",  U"if",  U"as"};
  return words;
}

// Abbreviations of four letters and more.
bool IsLongAbbreviation(std::u32string_view word) {
  static const std::set<std::u32string_view> words{U"adm",  U"appt",  U"apt",  U"ariz",  U"assn", U"assoc",  U"atty",   U"blvd",
                                                   U"bros", U"calif", U"capt", U"cmdr",  U"colo", U"conn",   U"corp",   U"dept",
                                                   U"dist", U"govt",  U"intl", U"lieut", U"mass", U"messrs", U"mich",   U"minn",
                                                   U"miss", U"natl",  U"okla", U"penn",  U"pres", U"prof",   U"reps",   U"sens",
                                                   U"sept", U"sgts",  U"supt", U"tenn",  U"univ", U"wash",   U"approx", U"esp"};
  return words.contains(word);
}

// Whether a '.' behind these characters, which hold no blank, surely ends a sentence.
bool IsOrdinaryWord(std::u32string_view word) {
  size_t begin = word.size();
  while (begin > 0 && (IsAsciiLetter(word[begin - 1]) || word[begin - 1] >= 0x80)) --begin;
  // What stands before is a quote, a bracket or a hyphen; with a '.' or a digit in it the word may be more than a word.
  if (std::ranges::any_of(word.substr(0, begin), [](char32_t c) { return c == '.' || (c >= '0' && c <= '9'); })) return false;
  std::u32string last(word.substr(begin));
  for (char32_t& c : last) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  if (last.size() >= 4) return !IsLongAbbreviation(last);
  return ShortWords().contains(last);
}

// A place that may end a sentence: a run of ends at [at, end) behind the word that begins at `word_begin`. From `tail` on
// there are no words any more.
struct Ending {
  bool possible = false, certain = false;
};
Ending EndingAt(std::u32string_view text, size_t word_begin, size_t at, size_t end, size_t tail) {
  size_t after = end;
  bool only_closers = true, curly = false;
  for (; after < text.size() && (IsPunktMark(text[after]) || IsCurlyQuote(text[after])); ++after) {
    only_closers = only_closers && IsCloser(text[after]);
    curly = curly || IsCurlyQuote(text[after]);
  }
  size_t next = after;
  while (next < text.size() && unicode::IsBlank(text[next])) ++next;
  const bool blank = next > after;
  // Closers at the very end belong to this sentence; other marks may be one of their own.
  if (next == text.size()) return {!only_closers, false};
  const std::u32string_view run = text.substr(at, end - at);
  // Between letters (example.com) there is no end; of several ends the first has another behind it.
  if (!blank && after == end) return {run.size() > 1, false};
  if (!blank || curly || next >= tail || run.size() > 1) return {true, false};
  return {true, run != U"." || IsOrdinaryWord(text.substr(word_begin, at - word_begin))};
}

// ---- words ----

// What NLTK sets apart from words wherever it stands. '...' and "--" and quotes are handled beside.
bool IsApart(char32_t c) {
  if (IsAsciiLetter(c) || c == ' ') return false;
  return std::u32string_view(U"«“‘„»”’`\";@#$%&?!*[](){}<>‒–—―").find(c) != std::u32string_view::npos;
}
bool IsWordCharacter(char32_t c) {
  return IsAsciiLetter(c) || (c >= '0' && c <= '9') || c == '_' || (c >= 0xaa && !IsApart(c) && !unicode::IsBlank(c));
}
bool IsAsciiDigit(char32_t c) { return c >= '0' && c <= '9'; }

// Whether an apostrophe at `at` that follows no word begins a clitic ('s, 'll), which it then belongs to.
bool BeginsClitic(std::u32string_view text, size_t at) {
  std::u32string word;
  for (size_t i = at + 1; i < text.size() && IsWordCharacter(text[i]); ++i) {
    word += text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i];
    if (word.size() > 2) return false;
  }
  static const std::set<std::u32string_view> clitics{U"re", U"ve", U"ll", U"m", U"t", U"s", U"d", U"n"};
  return clitics.contains(word);
}

// The text with blanks where NLTK divides tokens, and for tokens of marks alone, which have no case.
std::u32string Spaced(std::u32string_view text) {
  std::u32string spaced;
  const auto at = [&](size_t i) { return i < text.size() ? text[i] : U' '; };
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const char32_t before = i > 0 ? text[i - 1] : U' ';
    bool apart = IsApart(c);
    apart = apart || ((c == ',' || c == ':') && !IsAsciiDigit(at(i + 1)));
    apart = apart || (c == '.' && (at(i + 1) == '.' || before == '.'));
    apart = apart || (c == '-' && (at(i + 1) == '-' || before == '-'));
    if (c == '\'') {
      const bool begins_word = !IsWordCharacter(before) && IsWordCharacter(at(i + 1)) && !BeginsClitic(text, i);
      apart = begins_word || unicode::IsBlank(at(i + 1)) || IsApart(at(i + 1)) || at(i + 1) == '\'' || before == '\'';
    }
    spaced += apart ? U' ' : c;
  }
  return spaced;
}

// The size of the clitic that NLTK divides from a word, 0 for none.
size_t CliticSize(std::string_view word) {
  static constexpr std::array<std::string_view, 14> kClitics{"'s",  "'S",  "'m",  "'M",  "'d",  "'D",  "'ll",
                                                             "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"};
  for (const std::string_view clitic : kClitics) {
    if (word.size() > clitic.size() && word.ends_with(clitic) && word[word.size() - clitic.size() - 1] != '\'')
      return clitic.size();
  }
  return 0;
}

// How many tokens in capital letters a word is divided into.
int64_t CapitalTokens(std::string_view word) {
  static const std::set<std::string_view> divided{"CANNOT", "D'YE",   "GIMME", "GONNA", "GOTTA",
                                                  "LEMME",  "MORE'N", "WANNA", "'TIS",  "'TWAS"};
  const size_t clitic = CliticSize(word);
  const std::string_view stem = word.substr(0, word.size() - clitic);
  int64_t tokens = clitic > 0 && unicode::IsUpper(word.substr(stem.size())) ? 1 : 0;
  if (unicode::IsUpper(stem)) tokens += divided.contains(stem) ? 2 : 1;
  return tokens;
}

}  // namespace

SentenceCount CountSentences(std::string_view bytes) {
  const std::u32string text = unicode::CodePoints(Strip(bytes));
  if (text.empty()) return {};
  const auto is_mark = [](char32_t c) { return IsEnd(c) || IsPunktMark(c) || IsCurlyQuote(c) || unicode::IsBlank(c); };
  size_t tail = text.size();
  while (tail > 0 && is_mark(text[tail - 1])) --tail;
  SentenceCount count{1, 1};
  size_t word_begin = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (unicode::IsBlank(text[at])) word_begin = at + 1;
    if (!IsEnd(text[at])) continue;
    size_t end = at;
    while (end < text.size() && IsEnd(text[end])) ++end;
    const Ending ending = EndingAt(text, word_begin, at, end, tail);
    // Each of several ends may end a sentence of its own.
    if (ending.possible) count.most += static_cast<int64_t>(end - at);
    if (ending.certain) ++count.least;
    at = end - 1;
  }
  return count;
}

int64_t CountCapitalWords(std::string_view text) {
  const std::u32string spaced = Spaced(unicode::CodePoints(text));
  int64_t count = 0;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) count += CapitalTokens(word);
    word.clear();
  };
  for (const char32_t c : spaced) {
    if (unicode::IsBlank(c)) {
      end_word();
    } else {
      unicode::Append(c, word);
    }
  }
  end_word();
  return count;
}

}  // namespace moecap::accuracy
