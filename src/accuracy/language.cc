#include "accuracy/language.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "accuracy/regex.h"
#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

enum class Script : uint8_t { kLatin, kCyrillic, kArabic, kDevanagari, kKana, kHan, kOne };

struct Block {
  char32_t first, last;
  Script script;
  std::string_view language;  // of a script that one language uses
};
// Blocks of the Unicode standard, ascending; letters elsewhere count for none.
constexpr std::array kBlocks{
    Block{'A', 'Z', Script::kLatin, {}},          Block{'a', 'z', Script::kLatin, {}},
    Block{0xc0, 0x24f, Script::kLatin, {}},       Block{0x370, 0x3ff, Script::kOne, "el"},
    Block{0x400, 0x52f, Script::kCyrillic, {}},   Block{0x531, 0x58f, Script::kOne, "hy"},
    Block{0x5d0, 0x5ea, Script::kOne, "he"},      Block{0x620, 0x6ff, Script::kArabic, {}},
    Block{0x900, 0x97f, Script::kDevanagari, {}}, Block{0x980, 0x9ff, Script::kOne, "bn"},
    Block{0xa00, 0xa7f, Script::kOne, "pa"},      Block{0xa80, 0xaff, Script::kOne, "gu"},
    Block{0xb80, 0xbff, Script::kOne, "ta"},      Block{0xc00, 0xc7f, Script::kOne, "te"},
    Block{0xc80, 0xcff, Script::kOne, "kn"},      Block{0xd00, 0xd7f, Script::kOne, "ml"},
    Block{0xe01, 0xe5b, Script::kOne, "th"},      Block{0x10a0, 0x10ff, Script::kOne, "ka"},
    Block{0x1e00, 0x1eff, Script::kLatin, {}},    Block{0x3040, 0x30ff, Script::kKana, "ja"},
    Block{0x4e00, 0x9fff, Script::kHan, "zh"},    Block{0xac00, 0xd7a3, Script::kOne, "ko"},
};

struct FrequentWords {
  std::string_view language;
  Script script;
  std::string_view words;  // between blanks
};
constexpr std::array kFrequent{
    FrequentWords{
        "en", Script::kLatin,
        "the of and to in is that it for was with as are this you be on not have by from i your we can or at an which "
        "what who do did they he she his her their my me but so if will would has all there when how why about more one"},
    FrequentWords{"de", Script::kLatin,
                  "der die und das ist nicht ein eine zu den mit für von auf im dem sich ich es auch wie sie wir oder bei aus"},
    FrequentWords{"fr", Script::kLatin,
                  "le la les des et est une un que dans pour qui pas sur au avec ce du il sont vous nous être plus par"},
    FrequentWords{"es", Script::kLatin,
                  "el la los las de que y en un una es por con para del se no al como más su lo pero son muy"},
    FrequentWords{"pt", Script::kLatin,
                  "o a os as de que e em um uma é por com para não do da se no na como mais ao dos das você"},
    FrequentWords{"it", Script::kLatin,
                  "il la di che e un una è per non con del della in si le gli sono come più anche nel ma alla questo"},
    FrequentWords{"nl", Script::kLatin, "de het een van en is dat niet op te voor met zijn in aan er ook als bij maar"},
    FrequentWords{"sv", Script::kLatin, "och det att en som är på för av med inte den till ett har jag om vi kan"},
    FrequentWords{"fi", Script::kLatin,
                  "ja on ei se että hän oli en ovat kun mutta myös tai joka jotka sekä ole minun sen tämä kuin voi niin"},
    FrequentWords{"pl", Script::kLatin, "i w nie na się z do to że jest jak o po ale co przez dla są być oraz"},
    FrequentWords{"sw", Script::kLatin,
                  "na ya wa kwa ni katika za la hii kama kuwa cha si au pia lakini ili hiyo sana yake huu"},
    FrequentWords{"id", Script::kLatin, "yang dan di untuk dengan tidak ini itu dari pada adalah dalam akan saya ke atau juga"},
    FrequentWords{"tl", Script::kLatin, "ang ng sa na mga ay at ko ito para hindi kung isang niya"},
    FrequentWords{"tr", Script::kLatin, "ve bir bu için de da ile çok daha gibi olarak ne ben olan"},
    FrequentWords{"vi", Script::kLatin,
                  "là của và có không một những được cho các trong với này người để khi đã tôi như chỉ cũng nhưng thì"},
    FrequentWords{"ru", Script::kCyrillic, "и в не на что с как это по для из он но мы я вы или от к его"},
    FrequentWords{"uk", Script::kCyrillic, "і в не на що з як це для та до він але ми я ви або від у й"},
    FrequentWords{"bg", Script::kCyrillic, "и на да се за от не в с са като ще е това които или но си по"},
    FrequentWords{"mk", Script::kCyrillic, "и на да се за од не во со е што ќе ова кои или но си"},
    FrequentWords{"ar", Script::kArabic, "في من على أن إلى هذا التي هو لا ما مع كان عن هذه أو"},
    FrequentWords{"fa", Script::kArabic, "و در به از که این را است با برای آن می های یک شما"},
    FrequentWords{"ur", Script::kArabic, "کے میں کی ہے اور سے کا کو پر یہ نہیں ہیں ایک کہ نے"},
    FrequentWords{"hi", Script::kDevanagari, "है के में की का और से को हैं पर यह कि नहीं एक था"},
    FrequentWords{"mr", Script::kDevanagari, "आहे आणि या ते मध्ये नाही हे आहेत होते आपण तुम्ही आपल्या साठी ही हा तर"},
    FrequentWords{"ne", Script::kDevanagari, "छ र मा छन् हो यो लागि पनि गर्न भने हुन्छ तपाईं गर्ने हामी गर्नुहोस् दिन"},
};

// Of the letters, so many must be of one script; of the words, so many of one list, and so many times those of the next.
constexpr double kLeastScriptShare = 0.7, kLeastKanaShare = 0.1, kLeastWordShare = 0.15, kLead = 1.5;
constexpr int64_t kLeastLetters = 10, kLeastWords = 3;
constexpr size_t kMostCharacters = 10000;

struct LetterCounts {
  std::array<int64_t, kBlocks.size()> by_block{};
  int64_t all = 0;

  int64_t Of(Script script, std::string_view language) const {
    int64_t count = 0;
    for (size_t i = 0; i < kBlocks.size(); ++i) {
      if (kBlocks[i].script == script && kBlocks[i].language == language) count += by_block[i];
    }
    return count;
  }
};

LetterCounts CountLetters(std::u32string_view text) {
  LetterCounts letters;
  for (const char32_t c : text) {
    const auto* const block = std::ranges::lower_bound(kBlocks, c, {}, &Block::last);
    if (block == kBlocks.end() || c < block->first) continue;
    ++letters.by_block[static_cast<size_t>(block - kBlocks.begin())];
    ++letters.all;
  }
  return letters;
}

// For each word the lists that it is in, as bits.
using Lists = std::unordered_map<std::string_view, uint32_t>;
static_assert(kFrequent.size() <= 32);

const Lists& ListsByWord() {
  static const Lists lists = [] {
    Lists made;
    for (size_t i = 0; i < kFrequent.size(); ++i) {
      for (const std::string_view word : unicode::Split(kFrequent[i].words)) made[word] |= 1u << i;
    }
    return made;
  }();
  return lists;
}

// Of words as runs of letters with the marks on them.
std::optional<std::string_view> ByWords(std::string_view text, Script script) {
  static const Regex word("[\\p{L}\\p{M}]+");
  const std::string lowered = LowerCase(text);
  int64_t words = 0;
  std::array<int64_t, kFrequent.size()> hits{};
  word.ForEach(lowered, [&](std::string_view found) {
    ++words;
    const auto lists = ListsByWord().find(found);
    if (lists == ListsByWord().end()) return;
    for (uint32_t left = lists->second; left != 0; left &= left - 1) ++hits[static_cast<size_t>(std::countr_zero(left))];
  });
  int64_t best = 0, second = 0;
  std::string_view language;
  for (size_t i = 0; i < kFrequent.size(); ++i) {
    if (kFrequent[i].script != script) continue;
    if (hits[i] > best) {
      second = best;
      best = hits[i];
      language = kFrequent[i].language;
    } else {
      second = std::max(second, hits[i]);
    }
  }
  const bool clear = best >= kLeastWords && static_cast<double>(best) >= kLeastWordShare * static_cast<double>(words) &&
                     static_cast<double>(best) >= kLead * static_cast<double>(second);
  return clear ? std::optional(language) : std::nullopt;
}

}  // namespace

std::optional<std::string_view> LanguageOf(std::string_view whole) {
  // A character takes four bytes at most; one that is cut is beyond the end.
  const std::u32string beginning = unicode::CodePoints(whole.substr(0, 4 * (kMostCharacters + 1))).substr(0, kMostCharacters);
  std::string text;
  for (const char32_t c : beginning) unicode::Append(c, text);
  const LetterCounts letters = CountLetters(beginning);
  if (letters.all < kLeastLetters) return std::nullopt;
  const auto share = [&](int64_t count) { return static_cast<double>(count) / static_cast<double>(letters.all); };
  // Japanese mixes two scripts.
  const int64_t kana = letters.Of(Script::kKana, "ja"), han = letters.Of(Script::kHan, "zh");
  if (share(kana + han) >= kLeastScriptShare && share(kana) >= kLeastKanaShare) return "ja";
  for (const Block& block : kBlocks) {
    if (share(letters.Of(block.script, block.language)) < kLeastScriptShare) continue;
    return block.language.empty() ? ByWords(text, block.script) : block.language;
  }
  return std::nullopt;
}

}  // namespace moecap::accuracy
