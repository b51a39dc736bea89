// Who sends what, and when: the part of a load that differs between closed loop, open loop and conversations. load_loop.h
// drives it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/system_under_test.h"

namespace moecap::load {

struct DueRequest {
  const RequestSpec* spec = nullptr;     // valid until the source's next call
  std::optional<int64_t> at_ns;          // when it is meant to be sent; null = as soon as possible
  int client = 0;                        // whose request it is
  std::optional<double> cancel_after_s;  // the client gives up so long after the send, if it has not ended
};

// Used by one thread.
class Source {
 public:
  virtual ~Source() = default;
  // Requests that may be sent, for Validate.
  virtual std::vector<const RequestSpec*> Specs() const = 0;
  // Called once, before anything else: time 0 of the schedule.
  virtual void Begin(int64_t origin_ns) = 0;
  // The request to be sent next; the same one until Take or OnEnded is called. Null: none until a request ends, or ever.
  virtual const DueRequest* Next() = 0;
  virtual void Take() = 0;
  virtual void OnEnded(int client, const record::RequestRecord& request, int64_t now_ns) = 0;
  // Nothing will be due any more, whatever ends.
  virtual bool IsExhausted() const = 0;
};

// Items of a list that several sources share, each handed out once, in order. Safe from several threads. With a stride, every
// so-manieth item from `first` on: the part of one of several processes.
class SharedIndex {
 public:
  explicit SharedIndex(size_t count, size_t first = 0, size_t stride = 1) : count_(count), stride_(stride), next_(first) {}
  std::optional<size_t> Take() {
    const size_t index = next_.fetch_add(stride_, std::memory_order_relaxed);
    return index < count_ ? std::optional(index) : std::nullopt;
  }
  bool IsEmpty() const { return next_.load(std::memory_order_relaxed) >= count_; }

 private:
  size_t count_, stride_;
  std::atomic<size_t> next_;
};

// Closed loop: each client sends its next request the moment the last one ended, so that exactly `clients` are in flight until
// the requests run out.
class ClosedLoopSource final : public Source {
 public:
  struct Options {
    int first_client = 0;
    int clients = 1;      // >= 1
    double ramp_s = 0;    // client i of `all_clients` starts after i / all_clients of it; 0 = all at once
    int all_clients = 1;  // of all sources that share `next`
  };
  // `requests` and `next` must outlive the source.
  ClosedLoopSource(const Options& options, std::span<const RequestSpec> requests, SharedIndex& next);

  std::vector<const RequestSpec*> Specs() const override;
  void Begin(int64_t origin_ns) override;
  const DueRequest* Next() override;
  void Take() override;
  void OnEnded(int client, const record::RequestRecord& request, int64_t now_ns) override;
  bool IsExhausted() const override { return !due_ && next_.IsEmpty(); }

 private:
  Options options_;
  std::span<const RequestSpec> requests_;
  SharedIndex& next_;
  std::queue<DueRequest> idle_;  // clients without a request; their spec is still null
  std::optional<DueRequest> due_;
};

struct PlannedRequest {
  const RequestSpec* spec = nullptr;
  double at_s = 0;                       // when it is meant to be sent
  std::optional<double> cancel_after_s;  // the user gives up so long after the send, if it has not ended
};

// Open loop: requests go out at times that were fixed before, whatever the server does, as users do who know nothing of each
// other.
class ScheduleSource final : public Source {
 public:
  // Error: kBadInput when the times do not ascend. `plan` must outlive the source.
  static Result<ScheduleSource> Create(std::span<const PlannedRequest> plan);

  std::vector<const RequestSpec*> Specs() const override;
  void Begin(int64_t origin_ns) override { origin_ns_ = origin_ns; }
  const DueRequest* Next() override;
  void Take() override { ++sent_; }
  void OnEnded(int, const record::RequestRecord&, int64_t) override {}
  bool IsExhausted() const override { return sent_ == plan_.size(); }

 private:
  explicit ScheduleSource(std::span<const PlannedRequest> plan) : plan_(plan) {}

  std::span<const PlannedRequest> plan_;
  int64_t origin_ns_ = 0;
  size_t sent_ = 0;
  DueRequest due_;
};

struct Turn {
  RequestSpec spec;    // its `prompt` is what the user adds
  double think_s = 0;  // before it is sent, after the answer to the turn before
};
using Conversation = std::vector<Turn>;  // not empty

// Users who talk: each turn carries the conversation so far, the server's answers included, and is sent when the user has
// thought. A user whose conversation is over starts the next one; one whose turn failed gives the conversation up.
class ConversationSource final : public Source {
 public:
  struct Options {
    int first_user = 0;
    int users = 1;      // >= 1
    double ramp_s = 0;  // as of ClosedLoopSource
    int all_users = 1;
    bool as_messages = true;  // chat: a list of messages; else one growing prompt
  };
  // `conversations` and `next` must outlive the source.
  ConversationSource(const Options& options, std::span<const Conversation> conversations, SharedIndex& next);

  std::vector<const RequestSpec*> Specs() const override;
  void Begin(int64_t origin_ns) override;
  const DueRequest* Next() override;
  void Take() override;
  void OnEnded(int client, const record::RequestRecord& request, int64_t now_ns) override;
  bool IsExhausted() const override;

 private:
  struct User {
    const Conversation* conversation = nullptr;
    size_t turn = 0;
    RequestSpec spec;  // of the turn that is due or in flight, with everything before it
  };
  struct Waiting {
    int64_t at_ns;
    int user;
    bool operator>(const Waiting& other) const { return at_ns != other.at_ns ? at_ns > other.at_ns : user > other.user; }
  };
  void Queue(int user, int64_t at_ns);
  bool StartConversation(User& user);
  void AppendAnswer(User& user, const record::RequestRecord& request) const;
  void AppendTurn(User& user) const;

  Options options_;
  std::span<const Conversation> conversations_;
  SharedIndex& next_;
  std::vector<User> users_;
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
  DueRequest due_;
};

}  // namespace moecap::load
