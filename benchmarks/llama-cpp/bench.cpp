/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
// What `moontide bench` measures, by llama.cpp's C API, on the same prompts: prefill of all of them together, then
// greedy decoding at several numbers of sequences, each from prompts computed before. Best of some rounds.
//
// bench BACKENDS MODEL.gguf [KEY=VALUE]...   (the keys and their defaults: Options)
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <link.h>
#include <map>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

namespace {

struct Options {
  std::map<std::string, int> values = {
      {"threads", 2},
      {"prompts", 64},
      {"prompt-tokens", 128},
      {"new-tokens", 64},
      {"rounds", 3},
      {"batch", 2048},   // tokens of a call
      {"ubatch", 2048},  // of those, computed together
      {"flash", 1},      // flash attention
      {"unified", 0},    // one KV buffer for all sequences
      {"bf16-cache", 0}, // KV in bf16, not f16
      {"cpu-time", 0},   // times the processor, not the clock: for one thread on a busy machine
      {"show", 0},       // sequences whose tokens to print
  };
  std::vector<int> sequences = {1, 8, 32, 64};

  int operator[](const char *key) const { return values.at(key); }
};

[[noreturn]] void fail(const std::string &message) {
  fprintf(stderr, "bench: %s\n", message.c_str());
  exit(1);
}

Options parse(int count, char **arguments) {
  Options options;
  for (int i = 0; i < count; i++) {
    const char *equals = strchr(arguments[i], '=');
    std::string key(arguments[i], equals ? equals - arguments[i] : strlen(arguments[i]));
    if (equals && key == "sequences") {
      options.sequences.clear();
      for (const char *at = equals; *at; at = strchr(at + 1, ',') ? strchr(at + 1, ',') : "") {
        options.sequences.push_back(atoi(at + 1));
      }
    } else if (equals && options.values.count(key)) {
      options.values[key] = atoi(equals + 1);
    } else {
      fail(std::string("no option ") + arguments[i]);
    }
  }
  return options;
}

// java.util.SplittableRandom, by which moontide bench makes its prompts.
class SplittableRandom {
 public:
  explicit SplittableRandom(uint64_t seed) : seed_(seed) {}

  int nextInt(int bound) {
    uint32_t bits = next();
    uint32_t mask = bound - 1;
    if ((bound & mask) == 0) {
      return bits & mask;
    }
    for (bits >>= 1;; bits = next() >> 1) {
      uint32_t remainder = bits % bound;
      if (static_cast<int32_t>(bits + mask - remainder) >= 0) {
        return remainder;
      }
    }
  }

 private:
  uint32_t next() {
    uint64_t z = seed_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 33)) * 0x62a9d9ed799705f5;
    return ((z ^ (z >> 28)) * 0xcb24d0a5c88c35b3) >> 32;
  }

  uint64_t seed_;
};

double seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

class Bench {
 public:
  Bench(llama_model *model, llama_context *context, const Options &options)
      : context_(context),
        vocabulary_(llama_vocab_n_tokens(llama_model_get_vocab(model))),
        length_(options["prompt-tokens"]),
        batch_(llama_batch_init(options["batch"], 0, 1)),
        capacity_(options["batch"]),
        clock_(options["cpu-time"] ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC) {}

  ~Bench() { llama_batch_free(batch_); }

  void makePrompts(int count, uint64_t seed) {
    SplittableRandom random(seed);
    sequences_.assign(count, {});
    for (auto &sequence : sequences_) {
      for (int i = 0; i < length_; i++) {
        sequence.push_back(random.nextInt(vocabulary_));
      }
    }
  }

  // Computes the first prompts from nothing, and each one's first new token; seconds.
  double prefill(int count) {
    llama_memory_clear(llama_get_memory(context_), false);
    double start = seconds(clock_);
    for (int sequence = 0; sequence < count; sequence++) {
      sequences_[sequence].resize(length_);
      for (int i = 0; i < length_; i++) {
        add(sequence, i, i == length_ - 1);
      }
    }
    compute();
    return seconds(clock_) - start;
  }

  // Decodes more tokens of each; seconds.
  double decode(int count, int tokens) {
    double start = seconds(clock_);
    for (int i = 0; i < tokens; i++) {
      for (int sequence = 0; sequence < count; sequence++) {
        add(sequence, length_ + i, true);
      }
      compute();
    }
    return seconds(clock_) - start;
  }

  void show(int sequence) const {
    printf("tokens of %d:", sequence);
    for (size_t i = length_; i < sequences_[sequence].size(); i++) {
      printf(" %d", sequences_[sequence][i]);
    }
    printf("\n");
  }

 private:
  void add(int sequence, int position, bool output) {
    if (batch_.n_tokens == capacity_) {
      compute();
    }
    int i = batch_.n_tokens++;
    batch_.token[i] = sequences_[sequence][position];
    batch_.pos[i] = position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = output;
  }

  // Computes what was added and appends the most probable token where one was asked for.
  void compute() {
    if (llama_decode(context_, batch_) != 0) {
      fail("llama_decode");
    }
    for (int i = 0; i < batch_.n_tokens; i++) {
      if (batch_.logits[i]) {
        const float *logits = llama_get_logits_ith(context_, i);
        sequences_[batch_.seq_id[i][0]].push_back(std::max_element(logits, logits + vocabulary_) - logits);
      }
    }
    batch_.n_tokens = 0;
  }

  llama_context *context_;
  int vocabulary_;
  int length_;
  llama_batch batch_;
  int capacity_;
  clockid_t clock_;
  std::vector<std::vector<llama_token>> sequences_;
};

// Threads that stay, as llama.cpp's own programs have them; without, a build without OpenMP starts some for each step.
void keepThreads(llama_context *context, int threads) {
  auto *registry = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
  auto create = reinterpret_cast<decltype(&ggml_threadpool_new)>(
      ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_new"));
  ggml_threadpool_params parameters = ggml_threadpool_params_default(threads);
  ggml_threadpool *pool = create(&parameters);
  llama_attach_threadpool(context, pool, pool);
}

int printCpuLibrary(dl_phdr_info *info, size_t, void *) {
  const char *name = strrchr(info->dlpi_name, '/');
  if (name && strstr(name, "ggml-cpu")) {
    printf("cpu library  %s\n", name + 1);
  }
  return 0;
}

}  // namespace

int main(int count, char **arguments) {
  if (count < 3) {
    fail("BACKENDS MODEL.gguf [KEY=VALUE]...");
  }
  Options options = parse(count - 3, arguments + 3);
  if (!getenv("LLAMA_LOG")) {
    llama_log_set([](ggml_log_level level, const char *text, void *) {
      if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
      }
    }, nullptr);
  }
  if (strstr(arguments[1], ".so")) {
    ggml_backend_load(arguments[1]);
  } else {
    ggml_backend_load_all_from_path(arguments[1]);
  }
  llama_backend_init();

  llama_model *model = llama_model_load_from_file(arguments[2], llama_model_default_params());
  if (!model) {
    fail(std::string("cannot load ") + arguments[2]);
  }
  int prompts = options["prompts"];
  int tokens = options["new-tokens"] - 1; // The first comes with the prompt.
  int most = std::max(prompts, *std::max_element(options.sequences.begin(), options.sequences.end()));
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = most * ((options["prompt-tokens"] + tokens + 255) / 256 * 256);
  parameters.n_seq_max = most;
  parameters.n_batch = options["batch"];
  parameters.n_ubatch = options["ubatch"];
  parameters.n_threads = parameters.n_threads_batch = options["threads"];
  parameters.flash_attn_type = options["flash"] ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  parameters.kv_unified = options["unified"];
  parameters.type_k = parameters.type_v = options["bf16-cache"] ? GGML_TYPE_BF16 : GGML_TYPE_F16;
  llama_context *context = llama_init_from_model(model, parameters);
  if (!context) {
    fail("cannot create the context");
  }
  keepThreads(context, options["threads"]);

  char description[128];
  llama_model_desc(model, description, sizeof description);
  printf("llama.cpp    %s\n", llama_version());
  dl_iterate_phdr(printCpuLibrary, nullptr);
  printf("features     %s\n", llama_print_system_info());
  printf("model        %s, %.0f M parameters, %.0f MB\n", description, llama_model_n_params(model) / 1e6,
         llama_model_size(model) / 1e6);
  printf("options     ");
  for (auto &[key, value] : options.values) {
    printf(" %s=%d", key.c_str(), value);
  }
  printf("\n");

  {
    Bench bench(model, context, options);
    bench.makePrompts(std::min(16, most), 1);
    bench.prefill(std::min(16, most));
    bench.decode(std::min(16, most), 8);

    bench.makePrompts(most, 2);
    double prefill = 1e30;
    double whole = 1e30;
    std::map<int, double> decode;
    for (int round = 0; round < options["rounds"]; round++) {
      for (int sequences : options.sequences) {
        double first = bench.prefill(sequences);
        double rest = bench.decode(sequences, tokens);
        decode[sequences] = round == 0 ? rest : std::min(decode[sequences], rest);
        if (sequences == prompts) {
          prefill = std::min(prefill, first);
          whole = std::min(whole, first + rest);
        }
      }
    }
    for (int sequence = 0; sequence < options["show"]; sequence++) {
      bench.show(sequence);
    }
    printf("prefill      %8.1f tokens/s\n", prompts * options["prompt-tokens"] / prefill);
    for (auto &[sequences, time] : decode) {
      printf("decode, %-4d %8.1f tokens/s\n", sequences, sequences * tokens / time);
    }
    printf("whole set    %8.1f tokens/s\n", prompts * (options["prompt-tokens"] + options["new-tokens"]) / whole);
  }
  llama_free(context);
  llama_model_free(model);
  llama_backend_free();
  return 0;
}
