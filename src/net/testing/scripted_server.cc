#include "net/testing/scripted_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "base/check.h"

namespace moecap::net {
namespace {

class PlainConnection final : public ScriptedConnection {
 public:
  explicit PlainConnection(int fd) : ScriptedConnection(fd) {}
  long Read(char* buffer, size_t size) override { return ::recv(fd_, buffer, size, 0); }
  long Write(const char* bytes, size_t size) override { return ::send(fd_, bytes, size, MSG_NOSIGNAL); }
};

class TlsConnection final : public ScriptedConnection {
 public:
  TlsConnection(int fd, SSL_CTX* context) : ScriptedConnection(fd), ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_, fd);
    usable_ = SSL_accept(ssl_) == 1;
  }
  ~TlsConnection() override {
    if (usable_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  long Read(char* buffer, size_t size) override { return usable_ ? SSL_read(ssl_, buffer, static_cast<int>(size)) : -1; }
  long Write(const char* bytes, size_t size) override { return usable_ ? SSL_write(ssl_, bytes, static_cast<int>(size)) : -1; }

 private:
  SSL* ssl_;
  bool usable_ = false;
};

// A socket on a port of the system's choice.
int Bind(uint16_t* port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

int Listen(uint16_t* port) {
  const int fd = Bind(port);
  CHECK(::listen(fd, 1024) == 0);
  return fd;
}

SSL_CTX* ServerContext(const Certificate& certificate) {
  // OpenSSL's socket writes would otherwise end the test when the client is gone.
  std::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* cert_bio = BIO_new_mem_buf(certificate.certificate_pem.data(), static_cast<int>(certificate.certificate_pem.size()));
  BIO* key_bio = BIO_new_mem_buf(certificate.key_pem.data(), static_cast<int>(certificate.key_pem.size()));
  X509* x509 = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_certificate(context, x509) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(x509);
  EVP_PKEY_free(key);
  BIO_free(cert_bio);
  BIO_free(key_bio);
  return context;
}

std::string Pem(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

void AddExtension(X509* x509, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
}

size_t ContentLength(std::string_view head) {
  const size_t found = head.find("Content-Length: ");
  return found == std::string_view::npos ? 0 : static_cast<size_t>(std::atol(head.data() + found + 16));
}

}  // namespace

std::string ScriptedConnection::ReadRequest() {
  std::array<char, 65536> buffer;
  size_t wanted = std::string::npos;
  for (;;) {
    const size_t head = unread_.find("\r\n\r\n");
    if (head != std::string::npos && wanted == std::string::npos) wanted = head + 4 + ContentLength(unread_.substr(0, head));
    if (unread_.size() >= wanted) break;
    const long size = Read(buffer.data(), buffer.size());
    if (size <= 0) return "";
    unread_.append(buffer.data(), static_cast<size_t>(size));
  }
  std::string request = unread_.substr(0, wanted);
  unread_.erase(0, wanted);
  return request;
}

void ScriptedConnection::Send(std::string_view bytes) {
  while (!bytes.empty() && !failed_) {
    const long sent = Write(bytes.data(), bytes.size());
    failed_ = sent <= 0;
    if (!failed_) bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void ScriptedConnection::SendInPieces(std::string_view bytes, size_t piece, int pause_us) {
  while (!bytes.empty() && !failed_) {
    Send(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
  }
}

void ScriptedConnection::SleepMs(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

void ScriptedConnection::AwaitBytes() {
  std::array<char, 4096> buffer;
  const long size = Read(buffer.data(), buffer.size());
  if (size > 0) unread_.append(buffer.data(), static_cast<size_t>(size));
}

void ScriptedConnection::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  // The descriptor is closed by the server; disconnecting sends the RST at once.
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  ::connect(fd_, &unspecified, sizeof unspecified);
  failed_ = true;
}

void ScriptedConnection::Hold() {
  std::array<char, 4096> buffer;
  while (Read(buffer.data(), buffer.size()) > 0) {
  }
}

void ScriptedConnection::Relay(uint16_t port) {
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  CHECK(::connect(other, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  std::thread back([&] {
    std::array<char, 4096> buffer;
    ssize_t size = 0;
    while ((size = ::recv(other, buffer.data(), buffer.size(), 0)) > 0)
      ::send(fd_, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL);
    ::shutdown(fd_, SHUT_RDWR);
  });
  std::array<char, 4096> buffer;
  long size = 0;
  while ((size = Read(buffer.data(), buffer.size())) > 0) ::send(other, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL);
  ::shutdown(other, SHUT_RDWR);
  back.join();
  ::close(other);
}

std::string ScriptedConnection::PeerAddress() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  std::array<char, INET_ADDRSTRLEN> text{};
  CHECK(::getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
}

Certificate MakeCertificate(const CertificateOptions& options) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -2 * 86400);
  X509_gmtime_adj(X509_getm_notAfter(x509), options.expired ? -86400 : 86400);
  X509_set_pubkey(x509, key);
  X509_NAME* name = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("moecap test"), -1, -1, 0);
  X509_set_issuer_name(x509, name);
  const bool address =
      std::all_of(options.name.begin(), options.name.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  AddExtension(x509, NID_subject_alt_name, (address ? "IP:" : "DNS:") + options.name);
  AddExtension(x509, NID_basic_constraints, "critical,CA:TRUE");
  CHECK(X509_sign(x509, key, EVP_sha256()) > 0);
  BIO* certificate_bio = BIO_new(BIO_s_mem());
  BIO* key_bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate_bio, x509);
  PEM_write_bio_PrivateKey(key_bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  X509_free(x509);
  EVP_PKEY_free(key);
  return {Pem(certificate_bio), Pem(key_bio)};
}

ScriptedServer::ScriptedServer(Script script, const Certificate* certificate) : script_(std::move(script)) {
  if (certificate != nullptr) tls_ = ServerContext(*certificate);
  listener_ = Listen(&port_);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  if (tls_ != nullptr) SSL_CTX_free(static_cast<SSL_CTX*>(tls_));
}

std::string ScriptedServer::Url() const { return fmt::format("{}://localhost:{}", tls_ != nullptr ? "https" : "http", port_); }

void ScriptedServer::Accept() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd, number = connections_++] {
      {
        std::unique_ptr<ScriptedConnection> connection;
        if (tls_ != nullptr) {
          connection = std::make_unique<TlsConnection>(fd, static_cast<SSL_CTX*>(tls_));
        } else {
          connection = std::make_unique<PlainConnection>(fd);
        }
        script_(*connection, number);
      }
      const std::lock_guard closing(mutex_);
      std::erase(open_, fd);
      ::close(fd);
    });
  }
}

uint16_t ClosedPort() {
  uint16_t port = 0;
  Bind(&port);  // stays bound, so that nobody else gets the port meanwhile
  return port;
}

std::string ChunkOf(std::string_view body) { return fmt::format("{:x}\r\n{}\r\n", body.size(), body); }

std::string StreamHead(std::string_view content_type) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", content_type);
}

std::string WholeResponse(int status, std::string_view body, std::string_view extra_fields) {
  return fmt::format("HTTP/1.1 {} X\r\n{}Content-Length: {}\r\n\r\n{}", status, extra_fields, body.size(), body);
}

}  // namespace moecap::net
