#include "workload/prompt_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "workload/prompter.h"
#include "workload/python_random.h"

namespace moecap::workload {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kData = fs::path(MOECAP_SOURCE_DIR) / "src/workload/testing/datasets";

// The prompt of the first problem of our own file.
RenderedPrompt RenderFirst(const std::string& dataset, const std::string& prompt_name, size_t which = 0) {
  const DatasetInfo info = *FindDataset(dataset);
  const PromptTemplate prompt = *FindPromptTemplate(prompt_name);
  const LoadedDataset loaded = *LoadDataset(info, info.split, kData / dataset, 7);
  std::vector<Problem> examples;
  if (prompt.shots > 0) examples = LoadDataset(info, info.shots_split, kData / dataset, 7)->problems;
  const auto prompter = Prompter::Create(prompt, examples, loaded.rows);
  EXPECT_TRUE(prompter.ok()) << prompter.error().message;
  auto rendered = prompter->Render(loaded.problems[which]);
  EXPECT_TRUE(rendered.ok()) << rendered.error().message;
  return *rendered;
}

TEST(Prompts, EachOfEachDatasetRendersWithoutLeftovers) {
  for (const DatasetInfo& info : *BuiltinDatasets()) {
    if (info.name == "tinymath") continue;
    for (const std::string& name : info.prompts) {
      if (FindPromptTemplate(name)->shots_are_given) continue;
      const RenderedPrompt rendered = RenderFirst(info.name, name);
      EXPECT_FALSE(rendered.text.empty());
      EXPECT_THAT(rendered.text, testing::Not(HasSubstr("{{"))) << name;
      EXPECT_GT(rendered.max_output_tokens, 0);
    }
  }
}

// What lm-evaluation-harness 0.4.13 sends for these rows: random.Random(1234).sample(range(7), 5) is [6, 3, 0, 4, 5].
TEST(Prompts, Gsm8kHasFiveExamplesDrawnAsPythonDraws) {
  const RenderedPrompt first = RenderFirst("gsm8k", "gsm8k");
  EXPECT_THAT(first.messages, testing::IsEmpty());
  EXPECT_THAT(first.text, testing::StartsWith("Question: Bo has 7 eggs and finds 8. How many are there?\nAnswer: "
                                              "7+8=<<7+8=15>>15 eggs.\n#### 15\n\nQuestion: Bo has 4 eggs"));
  EXPECT_THAT(first.text, testing::EndsWith("#### 13\n\nQuestion: Ann has 3 pens and buys 4. How many pens has she?\nAnswer:"));
  EXPECT_THAT(first.stop, ElementsAre("Question:", "</s>", "<|im_end|>"));
  EXPECT_THAT(RenderFirst("gsm8k", "gsm8k", 1).text, HasSubstr("#### 15\n\nQuestion: Bo has 5 eggs")) << "[6, 4, 0, 5, 3]";
}

TEST(Prompts, MmluAsTheHarnessWritesIt) {
  EXPECT_EQ(RenderFirst("mmlu", "mmlu-flan-cot-zeroshot").text,
            "The following are multiple choice questions (with answers) about high school biology.\n\n"
            "Q: What, of these, is alive?\n(A) A stone (B) A tree (C) A \"pen\" (D) Water\nA: Let's think step by step.");
  const std::string five = RenderFirst("mmlu", "mmlu-generative", 2).text;
  EXPECT_THAT(five, testing::StartsWith("The following are multiple choice questions (with answers) about world religions.\n\n"
                                        "Which is 1?\nA. 0\nB. 1\nC. 99\nD. 98\nAnswer: B\n\nWhich is 2?"));
  EXPECT_THAT(five, testing::EndsWith("\n\nWhich number comes after one?\nA. Two\nB. Five\nC. Six\nD. Nine\nAnswer:"));
}

// As lm-evaluation-harness 0.4.13 asks its task mmlu, five-shot, and mmlu_continuation.
TEST(Prompts, ChoicesAreContinuations) {
  const RenderedPrompt letters = RenderFirst("mmlu", "mmlu-likelihood", 2);
  EXPECT_EQ(letters.text, RenderFirst("mmlu", "mmlu-generative", 2).text);
  EXPECT_THAT(letters.continuations, ElementsAre(" A", " B", " C", " D"));
  const RenderedPrompt texts = RenderFirst("mmlu", "mmlu-continuation", 2);
  EXPECT_EQ(
      texts.text,
      "The following are questions (with answers) about world religions.\n\nQuestion: Which number comes after one?\nAnswer:");
  EXPECT_THAT(texts.continuations, ElementsAre(" Two", " Five", " Six", " Nine"));
  EXPECT_THAT(RenderFirst("mmlu", "mmlu-generative").continuations, testing::IsEmpty());
}

TEST(Prompts, BlanksAtThePromptsEndBelongToTheContinuation) {
  PromptTemplate prompt = *ParsePromptTemplate(
      "{name: p, form: completion, question: \"{{question}} Answer: \\n \", choice: \"{{letter}}\", delimiter: \"\"}",
      "p.yaml");
  Problem problem;
  problem.question = "Which?";
  problem.choices = {"x", "y"};
  const RenderedPrompt rendered = *Prompter::Create(prompt, {}, 1)->Render(problem);
  EXPECT_EQ(rendered.text, "Which? Answer:");
  EXPECT_THAT(rendered.continuations, ElementsAre(" \n A", " \n B"));
  problem.choices.clear();
  EXPECT_THAT(Prompter::Create(prompt, {}, 1)->Render(problem).error().message,
              HasSubstr("compares choices, and the row has none"));
  EXPECT_THAT(ParsePromptTemplate("{name: p, form: chat, question: q, choice: \"{{letter}}\"}", "p.yaml").error().message,
              HasSubstr("form completion"));
}

TEST(Prompts, MmluProHasExamplesOfItsCategoryAndTrimsOptions) {
  const std::string text = RenderFirst("mmlu-pro", "mmlu-pro", 1).text;
  EXPECT_THAT(text,
              testing::StartsWith(
                  "The following are multiple choice questions (with answers) about physics. Think step by step and then "
                  "finish your answer with \"the answer is (X)\" where X is the correct letter choice.\n"
                  "Question:\nWhich is 1?\nOptions:\nA. 0\nB. 1\nAnswer: Let's think step by step. It says 1. The answer is "
                  "(B).\n\nQuestion:\nWhich is 2?"));
  EXPECT_THAT(text, HasSubstr("\nD. Light\nE. Sound\n"));
  EXPECT_THAT(text, testing::EndsWith("J. Fog\nAnswer: Let's think step by step."));
}

TEST(Prompts, ChatsHaveMessagesAndTheSameText) {
  const RenderedPrompt prompt = RenderFirst("mmlu", "simple-evals-choice");
  ASSERT_EQ(prompt.messages.size(), 2u);
  EXPECT_EQ(prompt.messages[0].role, "system");
  EXPECT_EQ(prompt.messages[1].role, "user");
  EXPECT_THAT(prompt.messages[1].content, testing::EndsWith("answering.\n\nWhat, of these, is alive?\n\nA) A stone\nB) A tree\n"
                                                            "C) A \"pen\"\nD) Water"));
  EXPECT_EQ(prompt.text, prompt.messages[0].content + "\n\n" + prompt.messages[1].content);
  EXPECT_EQ(RenderFirst("math", "math-boxed").messages[0].content,
            "Find $x$ with $2x=10$.\n\nPlease reason step by step, and put your final answer within \\boxed{}.");
}

TEST(Prompts, ExamplesOfAChatAreTurns) {
  const PromptTemplate prompt = *FindPromptTemplate("gsm8k-cot-llama");
  const auto examples = LoadDataset(*FindDataset("gsm8k"), "train", kData / "gsm8k", 1)->problems;
  EXPECT_THAT(Prompter::Create(prompt, examples, 3).error().message, HasSubstr("has 8 worked examples, and there are 7"));
  PromptTemplate fewer = prompt;
  fewer.shots = 2;
  const auto problem = LoadDataset(*FindDataset("gsm8k"), "test", kData / "gsm8k", 1)->problems[0];
  const RenderedPrompt rendered = *Prompter::Create(fewer, examples, 3)->Render(problem);
  ASSERT_EQ(rendered.messages.size(), 5u);
  EXPECT_EQ(rendered.messages[1].role, "assistant");
  EXPECT_THAT(rendered.messages[4].content, HasSubstr("Problem: Ann has 3 pens"));
}

TEST(Prompts, LongBenchAndRulerDependOnTheTask) {
  const RenderedPrompt qasper = RenderFirst("longbench", "longbench", 0), trec = RenderFirst("longbench", "longbench", 1);
  EXPECT_EQ(qasper.max_output_tokens, 128);
  EXPECT_THAT(qasper.stop, testing::IsEmpty());
  EXPECT_THAT(qasper.text, HasSubstr("Article: We measured rain.\n\n Answer the question"));
  EXPECT_EQ(trec.max_output_tokens, 64);
  EXPECT_THAT(trec.stop, ElementsAre("\n"));
  EXPECT_THAT(trec.text, testing::EndsWith("Type: City\nQuestion: Who sings ?\nType:"));
  EXPECT_THAT(RenderFirst("ruler", "ruler", 0).text, testing::EndsWith("mentioned in the provided text is"));
  EXPECT_EQ(RenderFirst("ruler", "ruler", 1).max_output_tokens, 30);
}

TEST(Prompts, CompletionsBeginTheAnswerAndChatsDoNot) {
  const RenderedPrompt prompt = RenderFirst("humaneval", "humaneval-instruct");
  EXPECT_THAT(prompt.text,
              testing::EndsWith("Here is the completed function:\n```python\ndef one():\n    \"\"\" Return one. \"\"\"\n\n"));
  EXPECT_THAT(prompt.messages.back().content, testing::EndsWith("```\n"));
}

TEST(Prompts, OwnTemplatesNameAnyColumn) {
  const auto own =
      ParsePromptTemplate("name: own\nform: chat\nquestion: \"{{hint}}: {{question}} {{gold}} {{nothing}}\"\n", "own.yaml");
  ASSERT_TRUE(own.ok()) << own.error().message;
  Problem problem = LoadDataset(*FindDataset("jsonl"), "test", kData / "jsonl", 1)->problems[0];
  EXPECT_THAT(Prompter::Create(*own, {}, 1)->Render(problem).error().message,
              testing::AllOf(HasSubstr("test.jsonl:1: "), HasSubstr("names {{nothing}}")));
  problem.fields["nothing"] = "!";
  EXPECT_EQ(Prompter::Create(*own, {}, 1)->Render(problem)->text, "count: What is 1+1? 2 !");
  problem.question = "\u00a0 yes\u0085\x1f";
  EXPECT_EQ(*FillIn("{{question|strip}}", *own, problem), "yes") << "as Python's str.strip";
  EXPECT_THAT(FillIn("{{question", *own, problem).error().message, HasSubstr("has no \"}}\""));
}

// python3 -c "import random; r = random.Random(1234); print(r.sample(range(7473), 5), r.sample(range(7473), 5),
// r.sample(range(10), 8))"
TEST(PythonRandom, SamplesAsPythonDoes) {
  PythonRandom random(1234);
  EXPECT_THAT(random.Sample(7473, 5), ElementsAre(6374, 3610, 957, 61, 742));
  EXPECT_THAT(random.Sample(7473, 5), ElementsAre(7462, 6610, 4769, 286, 5501));
  EXPECT_THAT(random.Sample(10, 8), ElementsAre(1, 9, 5, 8, 0, 7, 4, 6));
}

}  // namespace
}  // namespace moecap::workload
