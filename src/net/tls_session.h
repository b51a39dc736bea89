// TLS over a non-blocking socket, through OpenSSL.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/tls.h"

namespace moecap::net {

enum class IoStep { kDone, kWantRead, kWantWrite, kClosed, kFailed };

// Trusted certificates and settings, shared by the sessions of a client.
class TlsContext {
 public:
  // Error: kBadInput when the CA file cannot be used.
  static Result<std::unique_ptr<TlsContext>> Create(const TlsOptions& options);

  SSL_CTX* get() const { return context_.get(); }
  const BIO_METHOD* socket_method() const { return method_.get(); }
  bool verify() const { return verify_; }

 private:
  TlsContext() = default;
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<BIO_METHOD, Free> method_;
  bool verify_ = true;
};

// One connection's session. The context and the clock must outlive it.
class TlsSession {
 public:
  // `host` is checked against the certificate.
  TlsSession(const TlsContext& context, const std::string& host, int fd, const Clock& clock);

  IoStep Handshake();
  // kDone: `size` bytes are in `buffer`.
  IoStep Read(char* buffer, size_t capacity, size_t& size);
  // kDone: `size` bytes were taken. After kWantRead or kWantWrite repeat with the same bytes.
  IoStep Write(std::string_view bytes, size_t& size);

  // When the last read of the socket returned, before decryption.
  int64_t last_read_ns() const { return socket_.last_read_ns; }
  // Why the last call said kFailed, with a remedy.
  std::string Error() const { return error_; }

  struct Socket {
    int fd;
    const Clock* clock;
    int64_t last_read_ns = 0;
  };

 private:
  IoStep StepOf(int returned);
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Socket socket_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string error_;
};

}  // namespace moecap::net
