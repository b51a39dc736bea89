#include "system/llamacpp/chat_template.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace moecap::llamacpp {

std::optional<std::string> ChatTemplateOf(const llama_model* model) {
  const char* text = llama_model_chat_template(model, nullptr);
  return text == nullptr || *text == '\0' ? std::nullopt : std::optional<std::string>(text);
}

Result<std::string> RenderChat(const std::string& chat_template, std::span<const load::Message> messages) {
  CHECK(!messages.empty());
  std::vector<llama_chat_message> chat;
  for (const load::Message& message : messages) chat.push_back({message.role.c_str(), message.content.c_str()});
  const auto write = [&](std::string& text) {
    return llama_chat_apply_template(chat_template.c_str(), chat.data(), chat.size(), /*add_ass=*/true, text.data(),
                                     static_cast<int32_t>(text.size()));
  };
  std::string text(1024, '\0');
  int32_t size = write(text);
  if (size < 0) {
    constexpr size_t kShown = 60;
    return BadInput(
        fmt::format("the engine's library cannot render the model's chat template (\"{}{}\"): it knows a fixed list of "
                    "families and runs no "
                    "Jinja; serve the model with llama-server and measure it as a server with api chat, or leave out chat",
                    chat_template.substr(0, kShown), chat_template.size() > kShown ? "..." : ""));
  }
  // Told the size it needs, it writes no end behind a text that fills the buffer.
  if (static_cast<size_t>(size) > text.size()) {
    text.resize(static_cast<size_t>(size));
    size = write(text);
  }
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace moecap::llamacpp
