// Chats as texts, by the template that a model file brings with it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "load/system_under_test.h"

struct llama_model;

namespace moecap::llamacpp {

// The Jinja template in the model's file (tokenizer.chat_template); null = it has none.
std::optional<std::string> ChatTemplateOf(const llama_model* model);

// The chat as the engine's library writes it, up to where the assistant's answer begins. llama.cpp v0.5.0's C interface runs no
// Jinja: it recognises a template by marks in it as one of a fixed list (ChatML, Llama 2 to 4, Mistral, Gemma, Phi, DeepSeek,
// GLM, Command R, Granite, gpt-oss and others) and writes that family's form; what else a template does is left out: tools, a
// system message of its own, the opening of reasoning. Error kBadInput with the remedy: the template is none of these.
// Requires at least one message.
Result<std::string> RenderChat(const std::string& chat_template, std::span<const load::Message> messages);

}  // namespace moecap::llamacpp
