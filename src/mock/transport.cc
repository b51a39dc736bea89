#include "mock/transport.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace moecap::mock {
namespace {

std::string OpenSslReason() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::Load(const std::string& certificate_file, const std::string& key_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  CHECK(context != nullptr);
  std::unique_ptr<TlsContext> tls(new TlsContext(context));
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    return BadInput(fmt::format("--tls-cert {}: {}", certificate_file, OpenSslReason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return BadInput(fmt::format("--tls-key {}: {}", key_file, OpenSslReason()));
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return BadInput(fmt::format("--tls-key {} does not belong to --tls-cert {}", key_file, certificate_file));
  }
  return tls;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Transport::Transport(int fd, const TlsContext* tls) : fd_(fd) {
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls->get());
  CHECK(ssl_ != nullptr);
  SSL_set_fd(ssl_, fd);
  SSL_set_accept_state(ssl_);
}

Transport::~Transport() {
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_);
    SSL_free(ssl_);
    ERR_clear_error();
  }
  ::close(fd_);
}

void Transport::EndOutput() {
  if (ssl_ != nullptr) return;  // the destructor sends close_notify
  ::shutdown(fd_, SHUT_WR);
  char buffer[16 << 10];
  for (int i = 0; i < 64 && ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT) > 0; ++i) {
  }
}

void Transport::ResetOnClose() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  if (ssl_ == nullptr) return;
  // No close_notify before the reset.
  SSL_set_quiet_shutdown(ssl_, 1);
}

long Transport::TlsResult(int result) {
  if (result > 0) return result;
  const int error = SSL_get_error(ssl_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return kAgain;
  return error == SSL_ERROR_ZERO_RETURN ? kClosed : kFailed;
}

long Transport::Read(char* buffer, size_t size) {
  if (ssl_ != nullptr) return TlsResult(SSL_read(ssl_, buffer, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  const ssize_t count = ::recv(fd_, buffer, size, MSG_DONTWAIT);
  if (count >= 0) return count;
  return errno == EAGAIN || errno == EINTR ? kAgain : kFailed;
}

long Transport::Write(const char* bytes, size_t size) {
  if (size == 0) return kAgain;
  if (ssl_ != nullptr) return TlsResult(SSL_write(ssl_, bytes, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  const ssize_t count = ::send(fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count >= 0) return count;
  return errno == EAGAIN || errno == EINTR ? kAgain : kFailed;
}

}  // namespace moecap::mock
