// The sample lines follow the published formats: Mooncake (kvcache-ai/Mooncake, FAST'25 traces), BurstGPT (HPMLL/BurstGPT), and
// Azure's LLM inference traces (Azure/AzurePublicDataset, 2023).
#include "workload/request_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"

namespace moecap::workload {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class RequestTraceTest : public testing::Test {
 protected:
  Result<RequestTrace> Read(const std::string& text) {
    const std::filesystem::path path =
        std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    CHECK(WriteFileAtomically(path, text).ok());
    return ReadRequestTrace(path);
  }
  std::string ErrorOf(const std::string& text) { return Read(text).error().message; }
};

TEST_F(RequestTraceTest, ReadsMooncake) {
  const auto trace =
      Read(R"({"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]})"
           "\n"
           R"({"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47], "session_id": 7})"
           "\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->format, TraceFormat::kMooncake);
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->requests[0].at_s, 0);
  EXPECT_NEAR(trace->requests[1].at_s, 3.053, 1e-9);
  EXPECT_EQ(trace->requests[1].input_tokens, 6472);
  EXPECT_THAT(trace->requests[0].prefix_blocks, ElementsAre(46, 47, 2353));
  EXPECT_EQ(trace->requests[1].session, "7");
}

TEST_F(RequestTraceTest, ReadsBurstGptAndCountsFailures) {
  const auto trace = Read(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\r\n"
      "5,ChatGPT,472,18,490,Conversation log\r\n"
      "45,ChatGPT,1087,0,1087,API log\r\n"
      "118,GPT-4,417,276,693,Conversation log\r\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->failed, 1);
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->requests[1].at_s, 113);
  EXPECT_EQ(trace->requests[1].output_tokens, 276);
}

// As spreadsheets write them: RFC 4180 with a byte order mark.
TEST_F(RequestTraceTest, ReadsQuotedCellsBehindAByteOrderMark) {
  const auto trace = Read(
      "\xef\xbb\xbf"
      "\"Timestamp\",Model,Request tokens,Response tokens,Total tokens,Log Type\r\n"
      "\"5\",\"ChatGPT\",\"472\",\"18\",\"490\",\"Conversation, log\"\r\n"
      "\"45\",\"say \"\"hi\"\"\nand more\",\"1\",\"2\",\"3\",\"x\"\r\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->format, TraceFormat::kBurstGpt);
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->requests[0].input_tokens, 472);
  EXPECT_EQ(trace->requests[1].at_s, 40);
  const auto mooncake = Read("\xef\xbb\xbf{\"timestamp\": 1, \"input_length\": 3, \"output_length\": 4, \"hash_ids\": []}\n");
  ASSERT_TRUE(mooncake.ok()) << mooncake.error().message;
  EXPECT_THAT(ErrorOf("Timestamp,Model,Request tokens,Response tokens\n5,\"open,3,4\n"), HasSubstr("not closed"));
}

TEST_F(RequestTraceTest, ReadsAzureAcrossMidnight) {
  const auto trace = Read(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n"
      "2023-12-31 23:59:59.5000000,4808,10\n"
      "2024-01-01 00:00:01.2500000,110,27\n"
      "2024-05-10 00:00:00.009930+00:00,2162,5\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_DOUBLE_EQ(trace->requests[1].at_s, 1.75);
  EXPECT_NEAR(trace->requests[2].at_s, 130 * 86400 + 0.50993, 1e-5);  // 2024 has a 29 February
}

TEST_F(RequestTraceTest, ReadsItsOwnFormatAndSorts) {
  const auto trace = Read(
      "{\"at_s\": 2.5, \"input_tokens\": 10, \"output_tokens\": 1}\n\n"
      "{\"at_s\": 0.5, \"input_tokens\": 20, \"output_tokens\": 2, \"prefix_blocks\": [1], \"session\": \"a\"}\n");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->requests[0].input_tokens, 20);
  EXPECT_EQ(trace->requests[1].at_s, 2);
}

TEST_F(RequestTraceTest, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("hello\n"), AllOf(HasSubstr(":1: "), HasSubstr("no trace that is known")));
  EXPECT_THAT(ErrorOf("TIMESTAMP,ContextTokens\n"), HasSubstr("\"GeneratedTokens\" is missing"));
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  EXPECT_THAT(ErrorOf(azure + "2023-13-16 18:15:46.6,1,1\n"), AllOf(HasSubstr(":2: "), HasSubstr("not a time")));
  EXPECT_THAT(ErrorOf(azure + "2023-11-16 18:15:46.6,-5,1\n"), HasSubstr("-5"));
  EXPECT_THAT(ErrorOf(azure + "2023-11-16 18:15:46.6,5\n"), HasSubstr("2 cells"));
  EXPECT_THAT(ErrorOf(azure), HasSubstr("no request that succeeded"));
  const std::string moecap = "{\"at_s\": 0, \"input_tokens\": 1, \"output_tokens\": 1}\n";
  EXPECT_THAT(ErrorOf(moecap + "{\"at_s\": 0, \"input_tokens\": 1.5, \"output_tokens\": 1}\n"), HasSubstr("1.5"));
  EXPECT_THAT(ErrorOf(moecap + "{\"at_s\": 0, \"input_tokens\": 1}\n"), AllOf(HasSubstr(":2: "), HasSubstr("output_tokens")));
  EXPECT_THAT(ErrorOf(moecap + "{\"at_s\": 0, \"input_tokens\": 1, \"output_tokens\": 1, \"prefix_blocks\": [\"x\"]}\n"),
              HasSubstr("prefix_blocks"));
}

}  // namespace
}  // namespace moecap::workload
