// The server under TLS, against a certificate that the test makes for itself.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "mock/server.h"
#include "mock/test_model.h"

namespace moecap::mock {
namespace {

using testing::HasSubstr;

// A self-signed certificate and its key as PEM files.
void WriteCertificate(const std::string& certificate_file, const std::string& key_file) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen(certificate_file.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

int Connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const timeval patience{300, 0};  // it only ends a test that would hang
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "moecap-tls-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
    WriteCertificate(dir_ / "cert.pem", dir_ / "key.pem");
    options_.model = SmallMoe();
    options_.model_name = "m";
    options_.timed.ttft_s = {0.001, 0};
    options_.timed.tpot_s = {0.0001, 0};
    options_.tls_certificate_file = dir_ / "cert.pem";
    options_.tls_key_file = dir_ / "key.pem";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::filesystem::path dir_;
  ServerOptions options_;
};

TEST_F(Tls, StreamsAWholeAnswer) {
  const auto server = Server::Start(options_);
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_THAT((*server)->url(), testing::StartsWith("https://"));
  const int fd = Connect((*server)->port());
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  ASSERT_EQ(SSL_connect(ssl), 1);
  const std::string body = R"({"prompt":[5],"max_tokens":500,"stream":true})";
  const std::string request =
      fmt::format("POST /v1/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}", body.size(), body);
  ASSERT_EQ(SSL_write(ssl, request.data(), static_cast<int>(request.size())), static_cast<int>(request.size()));
  std::string answer;
  char buffer[4096];
  for (int size = SSL_read(ssl, buffer, sizeof buffer); size > 0; size = SSL_read(ssl, buffer, sizeof buffer)) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  EXPECT_EQ(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN) << "an orderly end";
  EXPECT_THAT(answer, testing::EndsWith("data: [DONE]\n\n\r\n0\r\n\r\n"));
  SSL_free(ssl);
  SSL_CTX_free(context);
  ::close(fd);
}

TEST_F(Tls, PlainHttpIsDropped) {
  const auto server = Server::Start(options_);
  ASSERT_TRUE(server.ok());
  const int fd = Connect((*server)->port());
  const std::string request = "GET /health HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  char buffer[4096];
  std::string answer;
  for (ssize_t size = ::recv(fd, buffer, sizeof buffer, 0); size > 0; size = ::recv(fd, buffer, sizeof buffer, 0)) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  EXPECT_THAT(answer, testing::Not(HasSubstr("HTTP/1.1")));
  ::close(fd);
}

TEST_F(Tls, FilesThatAreWrongAreNamed) {
  ServerOptions options = options_;
  options.tls_key_file = options.tls_certificate_file;
  EXPECT_THAT(Server::Start(options).error().message, HasSubstr("--tls-key"));
  WriteCertificate(dir_ / "other.pem", dir_ / "other-key.pem");
  options.tls_key_file = dir_ / "other-key.pem";
  EXPECT_THAT(Server::Start(options).error().message, HasSubstr("other-key.pem"));
}

}  // namespace
}  // namespace moecap::mock
