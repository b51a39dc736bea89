// Events of every HTTP interface: counts stay countable, ids and counts agree.
#include "fuzz/fuzz.h"
#include "system/openai/error_message.h"
#include "system/openai/token_account.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  using openai::Api;
  for (const Api api : {Api::kCompletions, Api::kResponses, Api::kMessages, Api::kSglangGenerate, Api::kTgiGenerate,
                        Api::kOllamaChat, Api::kLlamaServer}) {
    openai::EventReader reader(api);
    openai::EventFacts facts;
    openai::TokenAccount account;
    account.Reset(true, false, 16);
    std::string_view text = fuzz::Text(data, size);
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      if (!reader.Read(text.substr(0, end), facts)) {
        CHECK(!reader.why().empty());
        break;
      }
      const auto added = account.Take(facts);
      CHECK(added.tokens >= 0 && (added.token_ids.empty() || added.token_ids.size() == static_cast<size_t>(added.tokens)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    load::Completion completion;
    account.Conclude(/*done=*/size % 2 == 0, completion);
    CHECK((completion.finish == record::FinishReason::kError) == (completion.error_kind != record::RequestError::kNone));
    CHECK(!completion.output_tokens || *completion.output_tokens >= 0);
  }
  static_cast<void>(openai::ErrorMessage(fuzz::Text(data, size)));
  return 0;
}
