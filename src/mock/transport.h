// One accepted connection as a stream of bytes, plain or under TLS. Never blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace moecap::mock {

// The certificate and key of a TLS server.
class TlsContext {
 public:
  // PEM files. Error kBadInput names the file and OpenSSL's reason.
  static Result<std::unique_ptr<TlsContext>> Load(const std::string& certificate_file, const std::string& key_file);
  ~TlsContext();
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

class Transport {
 public:
  // Owns `fd`, a connected non-blocking socket. `tls` null: plain. It must outlive the transport.
  Transport(int fd, const TlsContext* tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int fd() const { return fd_; }
  // Bytes moved; kAgain: not now; kClosed: the other side ended; kFailed: the connection is of no more use.
  static constexpr long kAgain = -1;
  static constexpr long kClosed = 0;
  static constexpr long kFailed = -2;
  long Read(char* buffer, size_t size);
  long Write(const char* bytes, size_t size);
  // Says that nothing more comes, and throws away what has been received: closing over unread bytes would send a reset, which
  // can take the answer away from the other side.
  void EndOutput();
  // The close in the destructor sends a reset instead of an end.
  void ResetOnClose();

 private:
  long TlsResult(int result);

  int fd_;
  ssl_st* ssl_ = nullptr;
};

}  // namespace moecap::mock
