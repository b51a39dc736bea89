#include "base/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

YamlNode Parse(const std::string& text) {
  auto node = ParseYaml(text, "f.yaml");
  EXPECT_TRUE(node.ok()) << node.error().message;
  return *std::move(node);
}

TEST(ParseYaml, KeepsKindsOrderAndLines) {
  const YamlNode node = Parse("a: 1\nb:\n  - x\n  - {c: ~}\n");
  ASSERT_EQ(node.kind, YamlNode::Kind::kMap);
  ASSERT_EQ(node.items.size(), 2u);
  EXPECT_EQ(node.items[0].key, "a");
  EXPECT_EQ(node.items[0].scalar, "1");
  EXPECT_EQ(node.items[1].key_line, 2);
  EXPECT_EQ(node.items[1].items[0].scalar, "x");
  EXPECT_EQ(node.items[1].items[1].line, 4);
  EXPECT_EQ(node.items[1].items[1].items[0].kind, YamlNode::Kind::kNull);
}

TEST(ParseYaml, RefusesWhatIsNoYamlOrTooMuchOfIt) {
  EXPECT_THAT(ParseYaml("a: [1\n", "f.yaml").error().message, AllOf(HasSubstr("f.yaml:"), HasSubstr("not valid YAML")));
  for (const auto& [text, reason] : {std::pair{"a: [1\n", "a list that begins with '[' has no end"},
                                     {"a: {b: 1\n", "a mapping that begins with '{' has no end"},
                                     {"a: ]\n", "stands where nothing was begun"},
                                     {"a: b: c\n", "': ' stands where no value can"},
                                     {"a: *b\n", "an alias (*) names no anchor (&)"},
                                     {"a: @b\n", "put the text into quotes"}}) {
    EXPECT_THAT(ParseYaml(text, "f.yaml").error().message, HasSubstr(reason)) << text;
  }
  EXPECT_EQ(ParseYaml("a: 1\nb: {c: 1,\n    c: 2}\n", "f.yaml").error().message,
            "f.yaml:3: \"c\" is given twice; line 2 has it, too");
  EXPECT_TRUE(ParseYaml("- {a: 1}\n- {a: 2}\n", "f.yaml").ok()) << "of two mappings";
  EXPECT_THAT(ParseYaml("? [1]\n: 2\n", "f.yaml").error().message, HasSubstr("a key must be text"));
  EXPECT_THAT(ParseYaml(std::string(40, '[') + std::string(40, ']'), "f.yaml").error().message, HasSubstr("deeper than 32"));
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 6; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "*a" : ",*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(ParseYaml(bomb, "f.yaml").error().message, HasSubstr("more than 20000 values"));
}

TEST(YamlMap, HandsOutTypedValues) {
  const YamlNode node = Parse("s: text\nd: 2.5e3\ni: -3\nb: true\nl: [1, 2]\nc: two\n");
  YamlErrors errors("f.yaml");
  YamlMap map(node, "the file", errors);
  EXPECT_EQ(map.String("s"), "text");
  EXPECT_EQ(map.Number("d"), 2500);
  EXPECT_EQ(map.Integer("i", -5, 5), -3);
  EXPECT_EQ(map.Boolean("b"), true);
  EXPECT_THAT(map.Integers("l", 0, 9), ElementsAre(1, 2));
  EXPECT_EQ(map.Choice("c", {"one", "two"}), 1u);
  EXPECT_EQ(map.String("absent"), std::nullopt);
  map.RefuseUnknownKeys();
  EXPECT_TRUE(errors.empty());
}

std::string Complaint(const std::string& text, void (*read)(YamlMap&)) {
  const YamlNode node = Parse(text);
  YamlErrors errors("f.yaml");
  YamlMap map(node, "the file", errors);
  read(map);
  map.RefuseUnknownKeys();
  EXPECT_FALSE(errors.empty()) << text;
  return errors.empty() ? "" : errors.first().message;
}

TEST(YamlMap, ComplaintsNameLineKeyAndRemedy) {
  const auto read = [](YamlMap& map) {
    map.Number("price");
    map.Integer("count", 1, 8);
    map.Boolean("flag");
    map.Choice("pay", {"buy", "rent"});
    map.Integers("list", 0, 3);
  };
  EXPECT_EQ(Complaint("price: x\n", read), "f.yaml:1: \"price\" must be a number, not \"x\"");
  EXPECT_EQ(Complaint("\nprice: [1]\n", read), "f.yaml:2: \"price\" must be a number");
  EXPECT_THAT(Complaint("price: .inf\n", read), HasSubstr("must be a number"));
  EXPECT_THAT(Complaint("count: 9\n", read), HasSubstr("must be between 1 and 8"));
  EXPECT_THAT(Complaint("count: 1.5\n", read), HasSubstr("whole number"));
  EXPECT_THAT(Complaint("flag: 1\n", read), HasSubstr("true or false"));
  EXPECT_THAT(Complaint("pay: steal\n", read), HasSubstr("known: buy, rent"));
  EXPECT_THAT(Complaint("list: [7]\n", read), HasSubstr("between 0 and 3"));
  EXPECT_THAT(Complaint("list: []\n", read), HasSubstr("e.g. [1, 4, 16]"));
  EXPECT_EQ(Complaint("prize: 1\n", read), "f.yaml:1: unknown key \"prize\" in the file; did you mean \"price\"?");
  EXPECT_THAT(Complaint("- 1\n", read), HasSubstr("the file must be a mapping"));
}

TEST(YamlErrors, KeepsTheFirst) {
  YamlErrors errors("f");
  EXPECT_TRUE(errors.empty());
  errors.Add(3, "one");
  errors.Add(1, BadInput("two"));
  EXPECT_EQ(errors.first().message, "f:3: one");
}

TEST(ToYaml, ReadsBackToTheSameValues) {
  const Json value = {{"name", "load"},
                      {"server", {{"url", "http://h:1"}, {"insecure", true}}},
                      {"load", {{"rates_per_s", {2.0, 4.5}}}},
                      {"text", "12"},
                      {"colon", "a: b"},
                      {"none", nullptr}};
  const std::string text = ToYaml(value);
  EXPECT_EQ(text.substr(0, 20), "name: load\nserver:\n ");
  const auto node = ParseYaml(text, "x");
  ASSERT_TRUE(node.ok()) << text;
  EXPECT_EQ(node->items.at(0).scalar, "load");
  EXPECT_EQ(node->items.at(1).items.at(0).scalar, "http://h:1");
  EXPECT_EQ(node->items.at(2).items.at(0).items.at(1).scalar, "4.5");
  EXPECT_EQ(node->items.at(3).scalar, "12");
  EXPECT_EQ(node->items.at(4).scalar, "a: b");
}

}  // namespace
}  // namespace moecap
