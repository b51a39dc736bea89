#include "net/response_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace moecap::net {
namespace {

struct Parsed {
  int status = 0;
  std::string type, body, error;
  bool complete = false, keep_alive = false;
  std::string rest;
  bool operator==(const Parsed&) const = default;
};

// Reads one response given in pieces of `piece` bytes, then the end of the connection.
Parsed Parse(std::string_view text, size_t piece, bool head_only = false) {
  ResponseParser parser(1000);
  parser.Reset(head_only);
  Parsed result;
  const auto drain = [&] {
    std::string_view body;
    for (;;) {
      switch (parser.Next(body)) {
        case ResponseParser::Step::kHead:
          result.status = parser.head().status();
          result.type = parser.head().Field("Content-Type");
          break;
        case ResponseParser::Step::kBody:
          EXPECT_FALSE(body.empty());
          result.body += body;
          break;
        case ResponseParser::Step::kEnd:
          result.complete = true;
          result.keep_alive = parser.keep_alive();
          return false;
        case ResponseParser::Step::kError:
          result.error = parser.error();
          return false;
        case ResponseParser::Step::kNeedBytes:
          return true;
      }
    }
  };
  for (size_t begin = 0; begin < text.size(); begin += piece) {
    parser.Push(text.substr(begin, piece));
    if (!drain()) {
      result.rest = std::string(parser.Rest()) + std::string(text.substr(std::min(begin + piece, text.size())));
      return result;
    }
  }
  if (parser.PushEnd() == ResponseParser::Step::kEnd) {
    result.complete = true;
    result.keep_alive = parser.keep_alive();
  } else {
    result.error = parser.error();
  }
  return result;
}

// The same whatever the split.
Parsed ParseAllWays(std::string_view text, bool head_only = false) {
  const Parsed whole = Parse(text, text.size() + 1, head_only);
  for (const size_t piece : {1, 2, 3, 5, 7, 11}) {
    const Parsed split = Parse(text, piece, head_only);
    EXPECT_EQ(split.error, whole.error);
    EXPECT_TRUE(!whole.error.empty() || split == whole) << "pieces of " << piece;
  }
  return whole;
}

// Case 6 of the list: chunks end anywhere, carry extensions, and trailers follow.
TEST(ResponseParser, ReadsChunksWithExtensionsAndTrailers) {
  const Parsed parsed = ParseAllWays(
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "4;name=\"value\"\r\ndata\r\n0A \r\n: x\n\ndata:\r\n1\r\n \r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\nNEXT");
  EXPECT_EQ(parsed.status, 200);
  EXPECT_EQ(parsed.type, "text/event-stream");
  EXPECT_EQ(parsed.body, "data: x\n\ndata: ");
  EXPECT_TRUE(parsed.complete);
  EXPECT_TRUE(parsed.keep_alive);
  EXPECT_EQ(parsed.rest, "NEXT");
}

TEST(ResponseParser, ReadsFixedLengthsAndBareLineFeeds) {
  const Parsed parsed =
      ParseAllWays("\r\nHTTP/1.1 404 Not Found\nContent-Length:5\nContent-Length: 5\nContent-Type:a\n\nhello!");
  EXPECT_EQ(parsed.status, 404);
  EXPECT_EQ(parsed.body, "hello");
  EXPECT_EQ(parsed.type, "a");
  EXPECT_EQ(parsed.rest, "!");
  EXPECT_TRUE(parsed.keep_alive);
  EXPECT_TRUE(ParseAllWays("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").complete);
  EXPECT_TRUE(ParseAllWays("HTTP/1.1 204 No Content\r\n\r\n").keep_alive);
  EXPECT_EQ(ParseAllWays("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrest", true).rest, "rest");
}

// Case 15: a body that ends with the connection.
TEST(ResponseParser, ReadsABodyUntilTheConnectionCloses) {
  const Parsed parsed = ParseAllWays("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nall of this");
  EXPECT_EQ(parsed.body, "all of this");
  EXPECT_TRUE(parsed.complete);
  EXPECT_FALSE(parsed.keep_alive);
}

TEST(ResponseParser, KnowsWhenAConnectionStaysOpen) {
  EXPECT_FALSE(ParseAllWays("HTTP/1.1 200 OK\r\nconnection: foo, Close\r\ncontent-length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(ParseAllWays("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").keep_alive);
  EXPECT_TRUE(ParseAllWays("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(ParseAllWays("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").keep_alive);
}

// Case 13: interim responses come before the one that counts.
TEST(ResponseParser, SkipsInterimResponses) {
  const Parsed parsed = ParseAllWays(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_EQ(parsed.status, 200);
  EXPECT_EQ(parsed.body, "x");
  std::string flood;
  for (int i = 0; i < 10; ++i) flood += "HTTP/1.1 100 C\r\nA: " + std::string(80, 'x') + "\r\n\r\n";
  EXPECT_THAT(ParseAllWays(flood + "HTTP/1.1 200 OK\r\n\r\n").error, testing::HasSubstr("larger than 1000"));
  EXPECT_THAT(ParseAllWays("HTTP/1.1 101 Switching\r\n\r\n").error, testing::HasSubstr("switched protocols"));
}

TEST(ResponseParser, SaysWhatIsWrong) {
  const auto error = [](std::string_view text) { return ParseAllWays(text).error; };
  EXPECT_THAT(error("\x15\x03\x03\x00\x02\x02\x46 and more"), testing::HasSubstr("https://"));
  EXPECT_THAT(error("SSH-2.0-OpenSSH_9.2\r\n"), testing::HasSubstr("SSH-2.0"));
  EXPECT_THAT(error("HTTP/1.1 2000 OK\r\n\r\n"), testing::HasSubstr("not HTTP/1.x"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), testing::HasSubstr("header line 1"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n"), testing::HasSubstr("header line 1"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), testing::HasSubstr("content-length"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), testing::HasSubstr("content-length"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), testing::HasSubstr("gzip"));
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(error(chunked + "xyz\r\n"), testing::HasSubstr("hexadecimal"));
  EXPECT_THAT(error(chunked + "\r\n"), testing::HasSubstr("no size"));
  EXPECT_THAT(error(chunked + "1234567890abcdef1\r\n"), testing::HasSubstr("too many digits"));
  EXPECT_THAT(error(chunked + "1\r\nxy\r\n"), testing::HasSubstr("longer than it says"));
  EXPECT_THAT(error(chunked + "1;" + std::string(2000, 'e')), testing::HasSubstr("too long"));
  EXPECT_THAT(error(chunked + "0\r\nT: " + std::string(2000, 'e')), testing::HasSubstr("too large"));
  EXPECT_THAT(error(chunked + "5\r\nabc"), testing::HasSubstr("middle of the response"));
  EXPECT_THAT(error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"), testing::HasSubstr("middle of the response"));
  EXPECT_THAT(error("HTTP/1.1 200"), testing::HasSubstr("before it answered"));
  EXPECT_THAT(error(""), testing::HasSubstr("before it answered"));
}

// Case 21: HTTP/2 is not asked for, and not taken for HTTP/1.
TEST(ResponseParser, OnlyHttp1IsSpoken) {
  const auto error = [](std::string_view text) { return ParseAllWays(text).error; };
  EXPECT_THAT(error("HTTP/2 200 OK\r\n\r\n"), testing::HasSubstr("not HTTP/1.x"));
  EXPECT_THAT(error(std::string_view("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0", 16)), testing::HasSubstr("not HTTP/1.x"));
  EXPECT_THAT(error("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), testing::HasSubstr("switched protocols"));
}

// A flood of headers is refused before it fills the memory.
TEST(ResponseParser, BoundsTheHead) {
  std::string flood = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 200; ++i) flood += "X-Header-" + std::to_string(i) + ": value\r\n";
  EXPECT_THAT(ParseAllWays(flood).error, testing::HasSubstr("larger than 1000 bytes"));
}

}  // namespace
}  // namespace moecap::net
