// LLM servers that run on this machine, at the ports that serving systems listen on unless told otherwise.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "system/openai/discovery.h"

namespace moecap::app {

struct LocalServer {
  std::string url;  // "http://127.0.0.1:8000"
  openai::ServerIdentity identity;
};

// 8000 vLLM, TensorRT-LLM, llama-cpp-python; 30000 SGLang; 8080 llama-server; 11434 Ollama; 3000 TGI; 23333 LMDeploy; 1234 LM
// Studio.
std::vector<int> UsualPorts();

// Asks each port of 127.0.0.1 in turn who it is, with at most a second for each question; what does not answer like an LLM
// server is left out.
std::vector<LocalServer> FindLocalServers(const std::vector<int>& ports, const Clock& clock);

}  // namespace moecap::app
