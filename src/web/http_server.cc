#include "web/http_server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
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

// What all connections share.
struct Shared {
  ServerOptions options;
  Service& service;
  asio::thread_pool workers;
  std::atomic<size_t> connections{0};

  Shared(const ServerOptions& given, Service& answers)
      : options(given), service(answers), workers(static_cast<size_t>(given.threads)) {}
};

// One connection. Its handlers run one at a time; each step begins where the last one ended.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Shared& shared) : stream_(std::move(socket)), shared_(shared) { ++shared_.connections; }
  ~Session() { --shared_.connections; }
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
    Admission admission = shared_.service.Admit(request_.head);
    if (admission.refusal) return Write(*std::move(admission.refusal), false);
    const auto length = parser_->content_length();
    if (length && *length > admission.most_body_bytes)
      return Write(PlainText(413, fmt::format("a body here has at most {} bytes", admission.most_body_bytes)), false);
    parser_->body_limit(admission.most_body_bytes);
    LowerCase(message[http::field::expect]) == "100-continue" ? Continue() : ReadBody();
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
      Response response = self->shared_.service.Answer(self->request_);
      asio::post(self->stream_.get_executor(), [self, answer = std::move(response)]() mutable {
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
};

class Listener final : public HttpServer {
 public:
  Listener(const ServerOptions& options, Service& service) : shared_(options, service), acceptor_(io_) {}
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
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

  std::string url() const override { return fmt::format("http://{}:{}", host_, port_); }
  uint16_t port() const override { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](ErrorCode error, tcp::socket socket) {
      if (!error && shared_.connections < shared_.options.most_connections)
        std::make_shared<Session>(std::move(socket), shared_)->ReadHead();
      if (error != asio::error::operation_aborted) Accept();
    });
  }

  Shared shared_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  std::string host_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const ServerOptions& options, Service& service) {
  auto listener = std::make_unique<Listener>(options, service);
  RETURN_IF_ERROR(listener->Listen());
  return std::unique_ptr<HttpServer>(std::move(listener));
}

}  // namespace moecap::web
