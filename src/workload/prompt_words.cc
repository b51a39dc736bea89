#include <array>
#include <string_view>

#include "base/check.h"
#include "workload/prompt_content.h"

namespace moecap::workload {
namespace {

// clang-format off
constexpr std::array kWords = std::to_array<std::string_view>({
    "able", "above", "across", "after", "again", "age", "air", "all", "almost", "alone", "along", "also", "always", "among",
    "animal", "answer", "any", "apple", "area", "arm", "around", "art", "ask", "autumn", "away", "baby", "back", "bad", "bag",
    "ball", "band", "bank", "bar", "base", "bath", "bay", "beach", "bean", "bear", "bed", "before", "begin", "behind", "bell",
    "below", "beside", "best", "better", "big", "bird", "black", "block", "blue", "board", "boat", "body", "bone", "book",
    "both", "bottle", "bottom", "bowl", "box", "boy", "branch", "bread", "break", "bridge", "bright", "bring", "brother",
    "brown", "build", "bus", "busy", "button", "buy", "cake", "call", "camp", "cap", "car", "card", "care", "carry", "case",
    "cat", "catch", "chair", "chance", "change", "cheap", "check", "child", "church", "circle", "city", "class", "clean",
    "clear", "clock", "close", "cloth", "cloud", "coat", "coffee", "cold", "color", "come", "cook", "cool", "copper", "corn",
    "corner", "cost", "count", "country", "cover", "cow", "crowd", "cup", "cut", "dance", "dark", "daughter", "day", "deep",
    "desk", "dinner", "dog", "door", "double", "down", "draw", "dream", "dress", "drink", "drive", "dry", "duck", "dust",
    "each", "ear", "early", "earth", "east", "easy", "eat", "edge", "egg", "eight", "empty", "end", "engine", "enough", "even",
    "evening", "every", "eye", "face", "fall", "family", "far", "farm", "fast", "father", "field", "fill", "film", "find",
    "fine", "finger", "fire", "first", "fish", "five", "flat", "floor", "flower", "fly", "follow", "food", "foot", "forest",
    "forget", "four", "free", "fresh", "friend", "front", "fruit", "full", "game", "garden", "gate", "gift", "girl", "give",
    "glad", "glass", "gold", "good", "grass", "gray", "great", "green", "ground", "group", "grow", "hair", "half", "hall",
    "hand", "happy", "hard", "hat", "head", "hear", "heart", "heavy", "help", "high", "hill", "hold", "home", "horse", "hot",
    "hotel", "hour", "house", "ice", "idea", "inside", "iron", "island", "job", "join", "jump", "keep", "kind", "king",
    "kitchen", "knee", "lake", "lamp", "land", "large", "last", "late", "laugh", "law", "lead", "leaf", "learn", "leave",
    "left", "leg", "lemon", "letter", "light", "line", "list", "little", "long", "look", "lost", "loud", "low", "lunch",
    "machine", "main", "make", "map", "mark", "market", "match", "meal", "mean", "meat", "meet", "metal", "middle", "milk",
    "mind", "minute", "mirror", "money", "month", "moon", "more", "morning", "mother", "mountain", "mouth", "move", "music",
    "name", "narrow", "near", "neck", "need", "never", "new", "news", "next", "night", "nine", "noise", "north", "nose", "note",
    "number", "ocean", "offer", "office", "often", "oil", "old", "open", "orange", "order", "other", "outside", "over", "page",
    "paint", "pair", "paper", "parent", "park", "part", "party", "past", "path", "pencil", "people", "picture", "piece",
    "place", "plain", "plan", "plant", "plate", "play", "pocket", "point", "pool", "poor", "port", "post", "power", "pull",
    "push", "quarter", "queen", "question", "quick", "quiet", "rain", "reach", "read", "ready", "red", "rest", "rice", "rich",
    "ride", "right", "ring", "river", "road", "rock", "roof", "room", "rope", "rose", "round", "run", "salt", "sand", "say",
    "school", "sea", "season", "seat", "second", "see", "seed", "sell", "send", "seven", "shade", "shape", "share", "sharp",
    "sheep", "ship", "shirt", "shoe", "shop", "short", "show", "side", "silver", "simple", "sing", "sister", "sit", "six",
    "size", "skin", "sky", "sleep", "slow", "small", "smile", "smoke", "snow", "soap", "sock", "soft", "soil", "song", "soon",
    "sound", "soup", "south", "space", "spoon", "spring", "square", "stand", "star", "start", "station", "stay", "step",
    "stick", "stone", "stop", "store", "storm", "story", "street", "strong", "sugar", "summer", "sun", "sweet", "swim", "table",
    "tail", "tall", "tea", "teach", "team", "tell", "ten", "tent", "thick", "thin", "thing", "think", "three", "ticket", "time",
    "today", "together", "tomorrow", "tool", "top", "touch", "tower", "town", "trade", "train", "travel", "tree", "trip",
    "true", "turn", "twenty", "two", "uncle", "under", "until", "use", "valley", "village", "visit", "voice", "wait", "walk",
    "wall", "warm", "wash", "watch", "water", "wave", "way", "wear", "weather", "week", "well", "west", "wet", "wheel", "white",
    "whole", "wide", "wild", "win", "wind", "window", "winter", "wish", "with", "wood", "word", "work", "world", "write",
    "yard", "year", "yellow", "young"
});
// clang-format on
static_assert(kWords.size() >= 256);

}  // namespace

int32_t WordCount() { return static_cast<int32_t>(kWords.size()); }

std::string Words(std::span<const int32_t> numbers) {
  std::string text;
  text.reserve(numbers.size() * 6);
  for (const int32_t number : numbers) {
    CHECK(number >= 0 && number < WordCount());
    if (!text.empty()) text += ' ';
    text += kWords[static_cast<size_t>(number)];
  }
  return text;
}

}  // namespace moecap::workload
