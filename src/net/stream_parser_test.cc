#include "net/stream_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "net/slow_stream_parser.h"

namespace moecap::net {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Outcome {
  std::vector<SlowEvent> events;
  bool too_large = false;
  bool at_boundary = true;
};

Outcome Parse(std::string_view text, StreamFormat format, size_t piece, size_t limit = StreamParser::kDefaultMaxEventBytes) {
  StreamParser parser(format, limit);
  Outcome outcome;
  for (size_t begin = 0; begin < text.size(); begin += piece) {
    const std::string bytes(text.substr(begin, piece));  // its own memory, so that a stale view is seen
    parser.Push(bytes);
    StreamEvent event;
    for (;;) {
      const auto step = parser.Next(event);
      if (step == StreamParser::Step::kNeedBytes) break;
      if (step == StreamParser::Step::kTooLarge) {
        outcome.too_large = true;
        return outcome;
      }
      outcome.events.push_back({std::string(event.data), std::string(event.type)});
    }
  }
  outcome.at_boundary = parser.AtBoundary();
  return outcome;
}

// The same, taking ahead what can be: by the first line end, as a caller would who knows the event.
Outcome ParseAhead(std::string_view text, StreamFormat format, size_t piece) {
  StreamParser parser(format);
  Outcome outcome;
  for (size_t begin = 0; begin < text.size(); begin += piece) {
    const std::string bytes(text.substr(begin, piece));
    parser.Push(bytes);
    StreamEvent event;
    for (;;) {
      const std::string_view ahead = parser.Ahead();
      const size_t size = std::min(ahead.find_first_of("\r\n"), ahead.size());
      if (size > 0 && parser.TakeAhead(size)) {
        outcome.events.push_back({std::string(ahead.substr(0, size)), ""});
      } else if (parser.Next(event) == StreamParser::Step::kEvent) {
        outcome.events.push_back({std::string(event.data), std::string(event.type)});
      } else {
        break;
      }
    }
  }
  return outcome;
}

// The data of the events, the same whatever the split.
std::vector<std::string> Data(std::string_view text, StreamFormat format = StreamFormat::kServerSentEvents) {
  const Outcome whole = Parse(text, format, text.size() + 1);
  for (size_t piece = 1; piece <= 8; ++piece)
    EXPECT_EQ(Parse(text, format, piece).events, whole.events) << "pieces of " << piece;
  std::vector<std::string> data;
  for (const SlowEvent& event : whole.events) data.push_back(event.data);
  return data;
}

// Case 1: with one space, without, and only one space is removed.
TEST(ServerSentEvents, SpaceAfterTheColonIsOptional) {
  EXPECT_THAT(Data("data: a\n\ndata:b\n\ndata:  c\n\n"), ElementsAre("a", "b", " c"));
}

// Case 2: LF, CRLF and CR, also mixed and split across reads.
TEST(ServerSentEvents, EveryLineEndCounts) {
  EXPECT_THAT(Data("data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\r\n\ndata: e\n\r\ndata: f\r\n\r\n"),
              ElementsAre("a", "b", "c", "d", "e", "f"));
}

// Case 3.
TEST(ServerSentEvents, SeveralDataLinesAreOneEvent) {
  EXPECT_THAT(Data("data: a\ndata: b\ndata:\ndata: c\n\ndata\n\n"), ElementsAre("a\nb\n\nc", ""));
}

// Case 4: comments and other fields give no event of their own.
TEST(ServerSentEvents, CommentsAndOtherFieldsAreNoData) {
  EXPECT_THAT(Data(": ping\n\n:\n\nid: 7\nretry: 10\n\nevent: error\ndata: a\nid: 1\n\nunknown: x\ndatax: y\ndata: b\n\n"),
              ElementsAre("a", "b"));
  const Outcome outcome =
      Parse("event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n", StreamFormat::kServerSentEvents, 3);
  EXPECT_THAT(outcome.events, ElementsAre(SlowEvent{"a", "error"}, SlowEvent{"b", ""}, SlowEvent{"c", ""}));
}

// Case 5: many events in a read, one event over many, UTF-8 split anywhere, escaped line ends stay inside.
TEST(ServerSentEvents, EventsAndReadsAreIndependent) {
  EXPECT_THAT(Data("data: {\"text\":\"\xe2\x82\xac \xf0\x9f\x98\x80\\n\\n\"}\n\ndata: x\n\n"),
              ElementsAre("{\"text\":\"\xe2\x82\xac \xf0\x9f\x98\x80\\n\\n\"}", "x"));
}

// Case 9: an event that the end of the stream cuts off is none.
TEST(ServerSentEvents, AnUnfinishedEventIsNone) {
  for (const char* text : {"data: a\n\ndata: b", "data: a\n\ndata: b\n", "data: a\n\nda"}) {
    EXPECT_THAT(Data(text), ElementsAre("a"));
    EXPECT_FALSE(Parse(text, StreamFormat::kServerSentEvents, 2).at_boundary);
  }
  EXPECT_TRUE(Parse("data: a\n\n", StreamFormat::kServerSentEvents, 4).at_boundary);
  EXPECT_TRUE(Parse("data: a\n\n: bye\n", StreamFormat::kServerSentEvents, 4).at_boundary);
}

// One line end between events: each is there with its own line, not when the next one comes.
TEST(ServerSentEvents, AWholeObjectNeedsNoEmptyLine) {
  StreamParser parser;
  StreamEvent event;
  parser.Push("event: token\ndata: {\"a\":[\"}\\\"\"]}\n");
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  EXPECT_EQ(event.data, "{\"a\":[\"}\\\"\"]}");
  EXPECT_EQ(event.type, "token");
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kNeedBytes);
  EXPECT_TRUE(parser.AtBoundary());
  EXPECT_FALSE(parser.lacks_empty_lines());
  parser.Push("data: {}\n\n");
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  EXPECT_EQ(event.data, "{}");
  EXPECT_THAT(Data("data: {}\ndata: {\"b\":1}\ndata: [DONE]\n\n"), ElementsAre("{}", "{\"b\":1}", "[DONE]"));
  EXPECT_THAT(Data("data: {\"a\":\ndata: {}}\n\ndata: {} x\ndata: y\n\ndata: {\"a\ndata: {}\n\n"),
              ElementsAre("{\"a\":\n{}}", "{} x\ny", "{\"a\n{}"));
  StreamParser run_on;
  run_on.Push("data: {}\ndata: {}\n");
  while (run_on.Next(event) == StreamParser::Step::kEvent) {
  }
  EXPECT_TRUE(run_on.lacks_empty_lines());
}

TEST(ServerSentEvents, TheRestIsTheEventThatLacksItsEnd) {
  for (const StreamFormat format : {StreamFormat::kServerSentEvents, StreamFormat::kNdjson}) {
    const bool lines = format == StreamFormat::kNdjson;
    for (const std::string& text : {std::string(lines ? "{}\n[1]" : "data: {}\n\ndata: [1]"),
                                    std::string(lines ? "{}\n[1]\r" : "data: {}\n\ndata: [1]\n")}) {
      StreamParser parser(format);
      StreamEvent event;
      parser.Push(text);
      ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
      ASSERT_EQ(parser.Next(event), StreamParser::Step::kNeedBytes);
      ASSERT_TRUE(parser.TakeRest(event)) << text;
      EXPECT_TRUE(event.data.starts_with("[1]"));
      EXPECT_FALSE(parser.TakeRest(event));
    }
    StreamParser parser(format);
    StreamEvent event;
    parser.Push(lines ? "{}\n \n" : "data: {}\n\n: bye");
    while (parser.Next(event) == StreamParser::Step::kEvent) {
    }
    EXPECT_FALSE(parser.TakeRest(event));
  }
}

// Case 17: very long lines, up to the limit.
TEST(ServerSentEvents, LongLinesUpToTheLimit) {
  const std::string long_line(1000, 'x');
  const std::string text = "data: " + long_line + "\n\n";
  for (const size_t piece : {1u, 7u, 100u, 5000u}) {
    EXPECT_EQ(Parse(text, StreamFormat::kServerSentEvents, piece, 1006).events.size(), 1u);
    EXPECT_TRUE(Parse(text, StreamFormat::kServerSentEvents, piece, 1005).too_large) << piece;
    EXPECT_TRUE(Parse("data: a\ndata: " + long_line, StreamFormat::kServerSentEvents, piece, 1000).too_large);
    EXPECT_TRUE(
        Parse("data: aaa\ndata: " + long_line.substr(0, 990) + "\n\n", StreamFormat::kServerSentEvents, piece, 998).too_large);
    EXPECT_TRUE(Parse(long_line + "\n", StreamFormat::kNdjson, piece, 999).too_large);
    EXPECT_EQ(Parse(long_line + "\n", StreamFormat::kNdjson, piece, 1000).events.size(), 1u);
  }
}

TEST(ServerSentEvents, AByteOrderMarkIsSkippedOnce) {
  EXPECT_THAT(Data("\xef\xbb\xbf"
                   "data: a\n\n\xef\xbb\xbf"
                   "data: b\n\n"),
              ElementsAre("a"));
}

// A caller that knows how long an event is gets it without a search; anything else is left as it was.
TEST(ServerSentEvents, AnEventMayBeTakenAhead) {
  const std::string text = "data: abc\n\ndata: de\n\ndata:f\n\ndata: g\r\n\r\nevent: x\ndata: h\n\ndata: i\n";
  StreamParser parser;
  EXPECT_EQ(parser.Ahead(), "");
  parser.Push(text);
  EXPECT_EQ(parser.Ahead(), "") << "a byte order mark may come first";
  StreamEvent event;
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  EXPECT_EQ(event.data, "abc");
  EXPECT_TRUE(parser.Ahead().starts_with("de\n\ndata:f"));
  EXPECT_FALSE(parser.TakeAhead(1));
  EXPECT_TRUE(parser.TakeAhead(2));
  EXPECT_EQ(parser.Ahead(), "") << "no space behind the colon";
  std::vector<std::string> rest;
  while (parser.Next(event) == StreamParser::Step::kEvent) {
    rest.emplace_back(event.data);
    if (event.data == "f") {
      EXPECT_FALSE(parser.TakeAhead(1)) << "the event ends with CRLF";
    }
  }
  EXPECT_THAT(rest, ElementsAre("f", "g", "h"));
  EXPECT_EQ(parser.Ahead(), "");
  const std::string end = "\ndata: j\n\n";
  parser.Push(end);
  EXPECT_EQ(parser.Ahead(), "") << "an event is pending";
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  EXPECT_EQ(event.data, "i");
  EXPECT_TRUE(parser.TakeAhead(1));
  EXPECT_EQ(parser.Next(event), StreamParser::Step::kNeedBytes);
  EXPECT_TRUE(parser.AtBoundary());
}

TEST(ServerSentEvents, NothingIsAheadOfALimitOrInNdjson) {
  StreamParser parser(StreamFormat::kServerSentEvents, 10);
  parser.Push("data: a\n\n");
  StreamEvent event;
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kNeedBytes);
  parser.Push("data: 12345678901\n\n");
  EXPECT_FALSE(parser.TakeAhead(11));
  EXPECT_EQ(parser.Next(event), StreamParser::Step::kTooLarge);
  parser.Reset(StreamFormat::kNdjson);
  parser.Push("{}\ndata: a\n\n");
  ASSERT_EQ(parser.Next(event), StreamParser::Step::kEvent);
  EXPECT_EQ(parser.Ahead(), "");
}

// Case 20.
TEST(Ndjson, ALineIsAnEvent) {
  EXPECT_THAT(Data("{\"a\":1}\n\n  \n{\"b\":\r 2}\r\n{\"c\":", StreamFormat::kNdjson),
              ElementsAre("{\"a\":1}", "{\"b\":\r 2}"));
  EXPECT_FALSE(Parse("{\"a\":1}\n{", StreamFormat::kNdjson, 3).at_boundary);
  EXPECT_THAT(Data("", StreamFormat::kNdjson), IsEmpty());
}

// Against the slow parser, which reads the specification word by word: random streams in random pieces.
TEST(StreamParser, AgreesWithTheSlowParser) {
  constexpr std::string_view kPieces[] = {"data:", "data: ", "event:", "id: 1",        ":",   "\n", "\r", "\r\n",
                                          "\n\n",  "x",      " ",      "\xef\xbb\xbf", "data"};
  Rng rng(20260131);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t i = rng.Below(30); i > 0; --i) text += kPieces[rng.Below(std::size(kPieces))];
    for (const StreamFormat format : {StreamFormat::kServerSentEvents, StreamFormat::kNdjson}) {
      const std::vector<SlowEvent> expected = SlowParse(text, format);
      ASSERT_EQ(Parse(text, format, 1 + rng.Below(6)).events, expected) << testing::PrintToString(text);
      ASSERT_EQ(Parse(text, format, text.size() + 1).events, expected) << testing::PrintToString(text);
      ASSERT_EQ(ParseAhead(text, format, 1 + rng.Below(40)).events, expected) << testing::PrintToString(text);
    }
  }
}

}  // namespace
}  // namespace moecap::net
