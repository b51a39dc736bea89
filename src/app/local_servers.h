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
  bool wants_key = false;  // it refused to say what it serves: a server, or any other program
};

// 8000 vLLM, TensorRT-LLM, llama-cpp-python; 30000 SGLang; 8080 llama-server; 11434 Ollama; 3000 TGI; 23333 LMDeploy; 1234 LM
// Studio.
std::vector<int> UsualPorts();

// Asks each port of 127.0.0.1 in turn who it is, with at most a second for each question; what names no model, as an LLM server
// does, is left out. `key`: sent along; "" = none.
std::vector<LocalServer> FindLocalServers(const std::vector<int>& ports, const std::string& key, const Clock& clock);

}  // namespace moecap::app
