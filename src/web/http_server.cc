#include "web/http_server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <chrono>
#include <exception>
#include <thread>

namespace moecap::web {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

std::string LowerCase(beast::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

Response PlainText(int status, std::string text) { return {status, kTextType, std::move(text) + "\n", {}}; }

Response OutOfOrder() { return PlainText(500, "this answer failed; the server goes on"); }

// What all connections share.
struct Shared {
  ServerOptions options;
  Service& service;
  asio::thread_pool workers;
  std::atomic<size_t> connections{0}, event_streams{0};

  Shared(const ServerOptions& given, Service& answers)
      : options(given), service(answers), workers(static_cast<size_t>(given.threads)) {}
};

// One connection. Its handlers run one at a time; each step begins where the last one ended.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Shared& shared)
      : stream_(std::move(socket)), shared_(shared), next_look_(stream_.get_executor()) {
    ++shared_.connections;
  }
  ~Session() {
    if (events_) --shared_.event_streams;
    --shared_.connections;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void ReadHead() {
    parser_.emplace();
    parser_->header_limit(shared_.options.most_head_bytes);
    parser_->body_limit(boost::none);  // the head decides
    Wait();
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode error, size_t) {
      error ? self->OnBadRequest(error) : self->OnHead();
    });
  }

 private:
  void Wait() { stream_.expires_after(std::chrono::seconds(shared_.options.idle_s)); }

  void OnHead() {
    const auto& message = parser_->get();
    request_ = {};
    request_.head.method = std::string(message.method_string());
    request_.head.target = std::string(message.target());
    for (const auto& field : message)
      request_.head.fields.emplace_back(LowerCase(field.name_string()), std::string(field.value()));
    Admission admission = Admit();
    if (admission.refusal) return Write(*std::move(admission.refusal), false);
    const auto length = parser_->content_length();
    if (length && *length > admission.most_body_bytes)
      return Write(PlainText(413, fmt::format("a body here has at most {} bytes", admission.most_body_bytes)), false);
    parser_->body_limit(admission.most_body_bytes);
    LowerCase(message[http::field::expect]) == "100-continue" ? Continue() : ReadBody();
  }

  // A service that throws has met a bug or the end of memory: that answer says so, and the others go on.
  Admission Admit() const {
    try {
      return shared_.service.Admit(request_.head);
    } catch (const std::exception&) {
      return {OutOfOrder(), 0};
    }
  }
  Response Answer() const {
    try {
      return shared_.service.Answer(request_);
    } catch (const std::exception&) {
      return OutOfOrder();
    }
  }

  void Continue() {
    continue_ = {};
    continue_.result(http::status::continue_);
    continue_.version(11);
    Wait();
    http::async_write(stream_, continue_, [self = shared_from_this()](ErrorCode error, size_t) {
      if (!error) self->ReadBody();
    });
  }

  void ReadBody() {
    Wait();
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode error, size_t) {
      error ? self->OnBadRequest(error) : self->OnRequest();
    });
  }

  void OnRequest() {
    request_.body = std::move(parser_->get().body());
    stream_.expires_never();
    asio::post(shared_.workers, [self = shared_from_this()] {
      asio::post(self->stream_.get_executor(), [self, answer = self->Answer()]() mutable {
        self->Write(std::move(answer), self->parser_->get().keep_alive());
      });
    });
  }

  void OnBadRequest(ErrorCode error) {
    if (error == http::error::end_of_stream) return Close();
    if (error == http::error::header_limit)
      return Write(PlainText(431, fmt::format("a head has at most {} bytes", shared_.options.most_head_bytes)), false);
    if (error == http::error::body_limit) return Write(PlainText(413, "the body is too long"), false);
    if (error.category() == http::make_error_code(http::error::bad_method).category())
      Write(PlainText(400, "this is no HTTP request"), false);
  }

  void Write(Response response, bool keep_alive) {
    if (response.events && request_.head.method != "HEAD") return BeginEvents(std::move(response));
    answer_ = {};
    answer_.result(static_cast<unsigned>(response.status));
    answer_.version(11);
    answer_.keep_alive(keep_alive);
    if (!response.type.empty()) answer_.set(http::field::content_type, response.type);
    for (const auto& [name, value] : response.fields) answer_.set(name, value);
    answer_.content_length(response.body.size());
    if (request_.head.method != "HEAD") answer_.body() = std::move(response.body);
    Wait();
    http::async_write(stream_, answer_, [self = shared_from_this(), keep_alive](ErrorCode error, size_t) {
      if (!error && keep_alive) return self->ReadHead();
      self->Close();
    });
  }

  void BeginEvents(Response response) {
    if (shared_.event_streams >= shared_.options.most_event_streams)
      return Write(PlainText(503, "too many follow what happens here; ask again later"), false);
    ++shared_.event_streams;
    events_ = std::move(response.events);
    text_ = fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nConnection: close\r\n", kEventType);
    for (const auto& [name, value] : response.fields) text_ += fmt::format("{}: {}\r\n", name, value);
    // A proxy that collects an answer before it hands it on would hold back every event.
    text_ += "X-Accel-Buffering: no\r\n\r\n";
    // A client says nothing more; when it goes, the stream ends at once.
    stream_.expires_never();
    stream_.async_read_some(buffer_.prepare(1), [self = shared_from_this()](ErrorCode, size_t) {
      self->gone_ = true;
      self->next_look_.cancel();
    });
    SendEvents(true);
  }

  // Sends text_, and then looks for more.
  void SendEvents(bool goes_on) {
    Wait();
    asio::async_write(stream_, asio::buffer(text_), [self = shared_from_this(), goes_on](ErrorCode error, size_t) {
      if (error || self->gone_ || !goes_on) return self->EndEvents();
      self->next_look_.expires_after(
          std::chrono::milliseconds(self->looks_++ == 0 ? 0 : self->shared_.options.event_period_ms));
      self->next_look_.async_wait([self](ErrorCode) { self->gone_ ? self->EndEvents() : self->LookForEvents(); });
    });
  }

  void LookForEvents() {
    asio::post(shared_.workers, [self = shared_from_this()] {
      asio::post(self->stream_.get_executor(), [self, next = self->NextEvents()]() mutable {
        // A line that says nothing keeps the connection from being taken for a dead one.
        self->text_ = next && next->empty() ? ":\n\n" : next.value_or("");
        self->SendEvents(next.has_value());
      });
    });
  }

  std::optional<std::string> NextEvents() const {
    try {
      return events_->Next();
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }

  void EndEvents() {
    gone_ = true;
    Close();
    stream_.cancel();
  }

  void Close() {
    ErrorCode ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  beast::tcp_stream stream_;
  Shared& shared_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Request request_;
  http::response<http::empty_body> continue_;
  http::response<http::string_body> answer_;
  std::shared_ptr<EventStream> events_;
  std::string text_;  // of them, being sent
  asio::steady_timer next_look_;
  int64_t looks_ = 0;
  bool gone_ = false;
};

class Listener final : public HttpServer {
 public:
  Listener(const ServerOptions& options, Service& service) : shared_(options, service), acceptor_(io_), pause_(io_) {}
  ~Listener() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    shared_.workers.join();
  }

  Status Listen() {
    ErrorCode error;
    const auto address = asio::ip::make_address(shared_.options.address, error);
    const auto refuse = [&](const std::string& why) {
      return BadInput(fmt::format("cannot listen on {}, port {}: {}", shared_.options.address, shared_.options.port, why));
    };
    if (error) return refuse("this is no IPv4 or IPv6 address");
    const tcp::endpoint endpoint(address, shared_.options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    if (error) return refuse(error.message() + "; choose another with --listen");
    port_ = acceptor_.local_endpoint(error).port();
    host_ = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
    Accept();
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  std::string url() const override { return fmt::format("http://{}:{}", host_, port_); }
  uint16_t port() const override { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](ErrorCode error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return AcceptLater();
      Accept();
      if (shared_.connections < shared_.options.most_connections)
        std::make_shared<Session>(std::move(socket), shared_)->ReadHead();
    });
  }

  // Without a free file descriptor the connection stays in the queue, and accepting it at once would fail again at once.
  void AcceptLater() {
    pause_.expires_after(std::chrono::milliseconds(shared_.options.accept_pause_ms));
    pause_.async_wait([this](ErrorCode error) {
      if (!error) Accept();
    });
  }

  // Until it is stopped. What a handler throws (there is no memory) ends its connection, not the server.
  void Run() {
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception&) {
        continue;
      }
    }
  }

  Shared shared_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::string host_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

Result<ServerOptions> ListenAt(const std::string& text) {
  ServerOptions options;
  const size_t colon = text.rfind(':');
  std::string address = colon == std::string::npos ? "" : text.substr(0, colon);
  const std::string port = text.substr(colon == std::string::npos ? 0 : colon + 1);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), options.port);
  if (error != std::errc() || end != port.data() + port.size())
    return BadInput(fmt::format("--listen {}: no address to listen at; give PORT or ADDRESS:PORT, 127.0.0.1:7070", text));
  if (!address.empty()) options.address = address == "localhost" ? "127.0.0.1" : address;
  return options;
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const ServerOptions& options, Service& service) {
  auto listener = std::make_unique<Listener>(options, service);
  RETURN_IF_ERROR(listener->Listen());
  return std::unique_ptr<HttpServer>(std::move(listener));
}

}  // namespace moecap::web
