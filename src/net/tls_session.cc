#include "net/tls_session.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace moecap::net {
namespace {

// OpenSSL's own socket BIO would raise SIGPIPE and leaves no place for the stamp.
int SocketRead(BIO* bio, char* buffer, int capacity) {
  auto* socket = static_cast<TlsSession::Socket*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const ssize_t size = ::recv(socket->fd, buffer, static_cast<size_t>(capacity), 0);
  if (size >= 0) {
    socket->last_read_ns = socket->clock->NowNs();
    return static_cast<int>(size);
  }
  if (errno == EAGAIN || errno == EINTR) BIO_set_retry_read(bio);
  return -1;
}

int SocketWrite(BIO* bio, const char* bytes, int size) {
  const auto* socket = static_cast<const TlsSession::Socket*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(socket->fd, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

long SocketControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

std::string QueuedError() {
  const unsigned long code = ERR_peek_last_error();
  if (code == 0) return "the connection broke";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("OpenSSL error {:x}", code);
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

// What can be done about a certificate that is refused.
std::string Remedy(long verify_error) {
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "renew it or set the clock; `insecure` accepts any certificate";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "use the name the certificate was made for; `insecure` accepts any certificate";
    default:
      return "give the file of the certificate that signed it as `ca`; `insecure` accepts any certificate";
  }
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsOptions& options) {
  std::unique_ptr<TlsContext> result(new TlsContext);
  result->verify_ = options.verify;
  result->context_.reset(SSL_CTX_new(TLS_client_method()));
  result->method_.reset(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "moecap socket"));
  if (!result->context_ || !result->method_) return Failed("OpenSSL cannot be set up: " + QueuedError());
  BIO_meth_set_read(result->method_.get(), SocketRead);
  BIO_meth_set_write(result->method_.get(), SocketWrite);
  BIO_meth_set_ctrl(result->method_.get(), SocketControl);
  SSL_CTX* context = result->context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // A record's header and body, or several records, in one read.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  ERR_clear_error();
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1)
      return BadInput(
          fmt::format("{}: no certificates can be read from it ({}); give a PEM file", options.ca_file, QueuedError()));
  } else if (options.verify && SSL_CTX_set_default_verify_paths(context) != 1) {
    return Failed("the system's trusted certificates cannot be loaded: " + QueuedError());
  }
  return result;
}

TlsSession::TlsSession(const TlsContext& context, const std::string& host, int fd, const Clock& clock)
    : socket_{fd, &clock}, ssl_(SSL_new(context.get())) {
  BIO* bio = BIO_new(context.socket_method());
  CHECK(ssl_ && bio != nullptr);
  BIO_set_data(bio, &socket_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_connect_state(ssl_.get());
  if (IsAddress(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    SSL_set1_host(ssl_.get(), host.c_str());
  }
}

IoStep TlsSession::StepOf(int returned) {
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return IoStep::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return IoStep::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return IoStep::kClosed;
    default:
      break;
  }
  const unsigned long code = ERR_peek_last_error();
  // HTTP's own framing tells whether a missing close_notify lost anything.
  if (code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return IoStep::kClosed;
  const long verify = SSL_get_verify_result(ssl_.get());
  if (verify != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    error_ = fmt::format("the certificate is refused: {}; {}", X509_verify_cert_error_string(verify), Remedy(verify));
  } else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER || ERR_GET_REASON(code) == SSL_R_PACKET_LENGTH_TOO_LONG) {
    error_ = "the server does not speak TLS on this port; write http:// in the URL";
  } else {
    error_ = "TLS failed: " + QueuedError();
  }
  return IoStep::kFailed;
}

IoStep TlsSession::Handshake() {
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_.get());
  return returned == 1 ? IoStep::kDone : StepOf(returned);
}

IoStep TlsSession::Read(char* buffer, size_t capacity, size_t& size) {
  ERR_clear_error();
  const int returned = SSL_read_ex(ssl_.get(), buffer, capacity, &size);
  return returned == 1 ? IoStep::kDone : StepOf(returned);
}

IoStep TlsSession::Write(std::string_view bytes, size_t& size) {
  ERR_clear_error();
  const int returned = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &size);
  return returned == 1 ? IoStep::kDone : StepOf(returned);
}

}  // namespace moecap::net
