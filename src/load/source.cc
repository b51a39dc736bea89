#include "load/source.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moecap::load {
namespace {

int64_t Nanoseconds(double seconds) { return static_cast<int64_t>(std::llround(seconds * 1e9)); }

}  // namespace

ClosedLoopSource::ClosedLoopSource(const Options& options, std::span<const RequestSpec> requests, SharedIndex& next)
    : options_(options), requests_(requests), next_(next) {}

std::vector<const RequestSpec*> ClosedLoopSource::Specs() const {
  std::vector<const RequestSpec*> specs;
  for (const RequestSpec& request : requests_) specs.push_back(&request);
  return specs;
}

void ClosedLoopSource::Begin(int64_t origin_ns) {
  for (int i = 0; i < options_.clients; ++i) {
    DueRequest due;
    due.client = options_.first_client + i;
    if (options_.ramp_s > 0) due.at_ns = origin_ns + Nanoseconds(options_.ramp_s * due.client / options_.all_clients);
    idle_.push(due);
  }
}

const DueRequest* ClosedLoopSource::Next() {
  if (due_) return &*due_;
  if (idle_.empty()) return nullptr;
  const auto index = next_.Take();
  if (!index) {
    idle_ = {};
    return nullptr;
  }
  due_ = idle_.front();
  idle_.pop();
  due_->spec = &requests_[*index];
  return &*due_;
}

void ClosedLoopSource::Take() { due_.reset(); }

void ClosedLoopSource::OnEnded(int client, const record::RequestRecord&, int64_t) {
  DueRequest due;
  due.client = client;
  idle_.push(due);
}

Result<ScheduleSource> ScheduleSource::Create(std::span<const PlannedRequest> plan) {
  if (!std::ranges::is_sorted(plan, {}, &PlannedRequest::at_s)) return BadInput("the times of an open loop must ascend");
  return ScheduleSource(plan);
}

std::vector<const RequestSpec*> ScheduleSource::Specs() const {
  std::vector<const RequestSpec*> specs;
  for (const PlannedRequest& request : plan_) specs.push_back(request.spec);
  return specs;
}

const DueRequest* ScheduleSource::Next() {
  if (sent_ == plan_.size()) return nullptr;
  const PlannedRequest& next = plan_[sent_];
  due_.spec = next.spec;
  due_.at_ns = origin_ns_ + Nanoseconds(next.at_s);
  due_.cancel_after_s = next.cancel_after_s;
  return &due_;
}

ConversationSource::ConversationSource(const Options& options, std::span<const Conversation> conversations, SharedIndex& next)
    : options_(options), conversations_(conversations), next_(next), users_(static_cast<size_t>(options.users)) {}

std::vector<const RequestSpec*> ConversationSource::Specs() const {
  std::vector<const RequestSpec*> specs;
  for (const Conversation& conversation : conversations_) {
    for (const Turn& turn : conversation) specs.push_back(&turn.spec);
  }
  return specs;
}

void ConversationSource::Begin(int64_t origin_ns) {
  for (int i = 0; i < options_.users; ++i) {
    if (!StartConversation(users_[static_cast<size_t>(i)])) return;
    Queue(i, origin_ns + Nanoseconds(options_.ramp_s * (options_.first_user + i) / options_.all_users));
  }
}

const DueRequest* ConversationSource::Next() {
  if (waiting_.empty()) return nullptr;
  const Waiting& first = waiting_.top();
  due_.spec = &users_[static_cast<size_t>(first.user)].spec;
  due_.at_ns = first.at_ns;
  due_.client = options_.first_user + first.user;
  return &due_;
}

void ConversationSource::Take() { waiting_.pop(); }

void ConversationSource::OnEnded(int client, const record::RequestRecord& request, int64_t now_ns) {
  const int index = client - options_.first_user;
  User& user = users_[static_cast<size_t>(index)];
  ++user.turn;
  if (request.ok() && user.turn < user.conversation->size()) {
    AppendAnswer(user, request);
    AppendTurn(user);
    Queue(index, now_ns + Nanoseconds((*user.conversation)[user.turn].think_s));
  } else if (StartConversation(user)) {
    Queue(index, now_ns + Nanoseconds(user.conversation->front().think_s));
  }
}

bool ConversationSource::IsExhausted() const {
  return next_.IsEmpty() && waiting_.empty() && std::ranges::all_of(users_, [](const User& user) {
           return user.conversation == nullptr || user.turn + 1 >= user.conversation->size();
         });
}

void ConversationSource::Queue(int user, int64_t at_ns) { waiting_.push({at_ns, user}); }

bool ConversationSource::StartConversation(User& user) {
  const auto index = next_.Take();
  if (!index) return false;
  user.conversation = &conversations_[*index];
  user.turn = 0;
  user.spec = {};
  AppendTurn(user);
  return true;
}

void ConversationSource::AppendAnswer(User& user, const record::RequestRecord& request) const {
  if (options_.as_messages) {
    user.spec.messages.push_back({"assistant", request.text});
  } else {
    user.spec.prompt += request.text;
  }
}

// Everything but the conversation so far is the turn's own.
void ConversationSource::AppendTurn(User& user) const {
  RequestSpec before = std::exchange(user.spec, (*user.conversation)[user.turn].spec);
  RequestSpec& spec = user.spec;
  if (options_.as_messages) {
    spec.messages = std::move(before.messages);
    spec.messages.push_back({"user", std::exchange(spec.prompt, {})});
    return;
  }
  spec.prompt.insert(0, before.prompt);
}

}  // namespace moecap::load
