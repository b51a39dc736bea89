#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/fs.h"
#include "net/http_client.h"
#include "net/testing/client_world.h"
#include "net/testing/scripted_server.h"

namespace moecap::net {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TlsClient : public testing::Test {
 protected:
  std::string WriteCa(const Certificate& certificate) {
    const auto path = std::filesystem::path(testing::TempDir()) / ("moecap_net_ca_" + std::to_string(::getpid()) + ".pem");
    EXPECT_TRUE(WriteFileAtomically(path, certificate.certificate_pem).ok());
    return path.string();
  }
  std::string Error(const std::string& url, const TlsOptions& tls) {
    HttpClientOptions options;
    options.tls = tls;
    World world(url, options);
    Recorder recorder;
    world.Run(recorder);
    if (recorder.error() == NetErrorKind::kNone) return recorder.body;
    EXPECT_EQ(recorder.error(), NetErrorKind::kTls) << recorder.message();
    EXPECT_THAT(recorder.message(), HasSubstr(url));
    return recorder.message();
  }
};

TEST_F(TlsClient, VerifiesChainNameAndDate) {
  const auto serve = Always(WholeResponse(200, "secure"));
  const Certificate good = MakeCertificate({}), expired = MakeCertificate({.expired = true}),
                    other = MakeCertificate({.name = "other.example"});
  {
    ScriptedServer server(serve, &good);
    EXPECT_EQ(Error(server.Url(), {.ca_file = WriteCa(good)}), "secure");
    EXPECT_EQ(Error(server.Url(), {.verify = false}), "secure");
    EXPECT_THAT(Error(server.Url(), {}), AllOf(HasSubstr("self-signed"), HasSubstr("`ca`")));
    EXPECT_THAT(Error(server.Url(), {.ca_file = WriteCa(other)}), AllOf(HasSubstr("certificate"), HasSubstr("`ca`")));
    EXPECT_THAT(Error("https://127.0.0.1:" + std::to_string(server.port()), {.ca_file = WriteCa(good)}),
                HasSubstr("IP address mismatch"));
  }
  {
    ScriptedServer server(serve, &expired);
    EXPECT_THAT(Error(server.Url(), {.ca_file = WriteCa(expired)}), AllOf(HasSubstr("expired"), HasSubstr("renew")));
    EXPECT_EQ(Error(server.Url(), {.verify = false}), "secure");
  }
  {
    ScriptedServer server(serve, &other);
    EXPECT_THAT(Error(server.Url(), {.ca_file = WriteCa(other)}), AllOf(HasSubstr("hostname mismatch"), HasSubstr("name")));
  }
}

TEST_F(TlsClient, StreamsManyRecords) {
  const Certificate certificate = MakeCertificate({});
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += std::string(1 + i * 37 % 20000, static_cast<char>('a' + i % 26));
  ScriptedServer server(
      [&](ScriptedConnection& connection, int) {
        while (!connection.ReadRequest().empty()) {
          connection.Send(StreamHead());
          for (size_t at = 0, i = 0; at < expected.size(); ++i) {
            const size_t size = std::min<size_t>(1 + i * 37 % 20000, expected.size() - at);
            connection.Send(ChunkOf(std::string_view(expected).substr(at, size)));
            at += size;
          }
          connection.Send(ChunkOf(""));
        }
      },
      &certificate);
  HttpClientOptions options;
  options.tls.ca_file = WriteCa(certificate);
  World world(server.Url(), options);
  ASSERT_TRUE(world.client->WarmUp(1, kPatienceNs).ok());
  for (int i = 0; i < 3; ++i) {
    Recorder recorder;
    world.Run(recorder, {.total_ns = kPatienceNs}, std::string(1 << 20, 'r'));
    EXPECT_EQ(recorder.body.size(), expected.size()) << recorder.message();
    EXPECT_TRUE(recorder.body == expected);
    EXPECT_GT(recorder.last.arrival_ns, recorder.result->timings.sent_ns);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(TlsClient, PlainOnTlsAndTheReverseAreNamed) {
  ScriptedServer plain([](ScriptedConnection& connection, int) { connection.Send(WholeResponse(400, "not TLS")); });
  EXPECT_THAT(Error("https://localhost:" + std::to_string(plain.port()), {.verify = false}), HasSubstr("http://"));

  const Certificate certificate = MakeCertificate({});
  ScriptedServer secure(Always(WholeResponse(200, "x")), &certificate);
  World world("http://localhost:" + std::to_string(secure.port()));
  Recorder recorder;
  world.Run(recorder);
  EXPECT_TRUE(recorder.error() == NetErrorKind::kBadResponse || recorder.error() == NetErrorKind::kResetBeforeHeaders);
  EXPECT_THAT(recorder.message(), HasSubstr("http"));
}

TEST_F(TlsClient, TunnelsThroughAProxy) {
  const Certificate certificate = MakeCertificate({});
  ScriptedServer target(Always(WholeResponse(200, "inside")), &certificate);
  std::string connect;
  ScriptedServer proxy([&](ScriptedConnection& connection, int) {
    connect = connection.ReadRequest();
    connection.Send("HTTP/1.1 200 Connection established\r\n\r\n");
    connection.Relay(target.port());
  });
  HttpClientOptions options;
  options.tls.ca_file = WriteCa(certificate);
  options.proxy = ParseUrl("http://127.0.0.1:" + std::to_string(proxy.port())).value();
  World world(target.Url(), options);
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.body, "inside") << recorder.message();
  EXPECT_THAT(connect, testing::StartsWith("CONNECT localhost:" + std::to_string(target.port()) + " HTTP/1.1\r\n"));
}

}  // namespace
}  // namespace moecap::net
