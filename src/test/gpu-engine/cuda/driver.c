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
// A libcuda.so.1 for tests: one or more devices in host memory, which run emulated kernels at once,
// in the order they are asked for. Streams and events are therefore no more than handles. What a
// device is comes from device.conf beside the library, read at every cuInit: name=value lines.
//
//   devices=1 memory=BYTES major=9 minor=0 driver=13000 shared=BYTES
//   fail=FUNCTION:CALL:CODE   that call of the function (1 is the first) returns the code
//
// A module's image is text: the path of a library of emulated kernels after "emulation:".
// Fresh memory is NaN in every format, and guarded: a write beyond an allocation is found when the
// allocation is freed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;
#define INVALID_VALUE 1
#define OUT_OF_MEMORY 2
#define INVALID_CONTEXT 201
#define NO_BINARY 209
#define NOT_FOUND 500
#define EXPORT __attribute__((visibility("default")))
#define GUARD 256

static struct {
  long devices, memory, major, minor, driver, shared;
  char fail[64];
  long fail_call, fail_code, calls;
} device;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long used;
static __thread void* current;

static void read_configuration(void) {
  device.devices = 1;
  device.memory = 8L << 30;
  device.major = 9;
  device.minor = 0;
  device.driver = 13000;
  device.shared = 227 << 10;
  device.fail[0] = 0;
  device.calls = 0;
  Dl_info info;
  char path[4096];
  dladdr((void*)read_configuration, &info);
  snprintf(path, sizeof path, "%s", info.dli_fname);
  char* slash = strrchr(path, '/');
  strcpy(slash + 1, "device.conf");
  FILE* file = fopen(path, "r");
  char line[256];
  while (file && fgets(line, sizeof line, file)) {
    sscanf(line, "devices=%ld", &device.devices);
    sscanf(line, "memory=%ld", &device.memory);
    sscanf(line, "major=%ld", &device.major);
    sscanf(line, "minor=%ld", &device.minor);
    sscanf(line, "driver=%ld", &device.driver);
    sscanf(line, "shared=%ld", &device.shared);
    sscanf(line, "fail=%63[^:]:%ld:%ld", device.fail, &device.fail_call, &device.fail_code);
  }
  if (file) fclose(file);
}

// The configured failure of this call, or 0.
static CUresult planned(const char* function) {
  if (strcmp(device.fail, function) == 0 && ++device.calls == device.fail_call) {
    return (CUresult)device.fail_code;
  }
  return 0;
}
#define BEGIN                              \
  do {                                     \
    CUresult code = planned(__func__);     \
    if (code) return code;                 \
  } while (0)
#define BEGIN_IN_CONTEXT                     \
  do {                                       \
    if (!current) return INVALID_CONTEXT;    \
    BEGIN;                                   \
  } while (0)

EXPORT CUresult cuInit(unsigned flags) {
  (void)flags;
  read_configuration();
  BEGIN;
  return device.devices > 0 ? 0 : 100;
}
EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = (int)device.driver;
  return 0;
}
EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = (int)device.devices;
  return 0;
}
EXPORT CUresult cuDeviceGet(int* handle, int ordinal) {
  if (ordinal < 0 || ordinal >= device.devices) return 101;
  *handle = ordinal;
  return 0;
}
EXPORT CUresult cuDeviceGetName(char* name, int length, int handle) {
  snprintf(name, (size_t)length, "Emulated %d", handle);
  return 0;
}
EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, int handle) {
  (void)handle;
  switch (attribute) {
    case 16: *value = 4; return 0;                    // multiprocessors
    case 75: *value = (int)device.major; return 0;
    case 76: *value = (int)device.minor; return 0;
    case 97: *value = (int)device.shared; return 0;   // shared memory a block can opt in to
    default: return INVALID_VALUE;
  }
}
EXPORT CUresult cuDevicePrimaryCtxRetain(void** context, int handle) {
  static char contexts[64];
  BEGIN;
  *context = &contexts[handle % 64];
  return 0;
}
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(int handle) {
  (void)handle;
  return 0;
}
EXPORT CUresult cuCtxSetCurrent(void* context) {
  current = context;
  return 0;
}
EXPORT CUresult cuCtxSynchronize(void) {
  BEGIN_IN_CONTEXT;
  return 0;
}
EXPORT CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  BEGIN_IN_CONTEXT;
  *free_bytes = (size_t)(device.memory - used);
  *total = (size_t)device.memory;
  return 0;
}

struct block {
  size_t bytes;
  char guard[GUARD - sizeof(size_t)];
};

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t bytes) {
  BEGIN_IN_CONTEXT;
  pthread_mutex_lock(&lock);
  int fits = bytes > 0 && used + (long)bytes <= device.memory;
  if (fits) used += (long)bytes;
  pthread_mutex_unlock(&lock);
  if (!fits) return bytes ? OUT_OF_MEMORY : INVALID_VALUE;
  struct block* block = NULL;
  if (posix_memalign((void**)&block, GUARD, sizeof *block + bytes + GUARD)) return OUT_OF_MEMORY;
  memset(block, 0xff, sizeof *block + bytes + GUARD);
  block->bytes = bytes;
  *pointer = (CUdeviceptr)(block + 1);
  return 0;
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) {
  BEGIN_IN_CONTEXT;
  struct block* block = (struct block*)pointer - 1;
  unsigned char* end = (unsigned char*)pointer + block->bytes;
  for (size_t i = 0; i < GUARD; i++) {
    int before = i < sizeof block->guard && (unsigned char)block->guard[i] != 0xff;
    if (before || end[i] != 0xff) {
      fprintf(stderr, "device memory %s an allocation of %zu bytes was written\n",
              before ? "before" : "after", block->bytes);
      abort();
    }
  }
  pthread_mutex_lock(&lock);
  used -= (long)block->bytes;
  pthread_mutex_unlock(&lock);
  free(block);
  return 0;
}
EXPORT CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  (void)flags;
  BEGIN_IN_CONTEXT;
  *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (*pointer) memset(*pointer, 0xff, bytes);
  return *pointer ? 0 : OUT_OF_MEMORY;
}
EXPORT CUresult cuMemFreeHost(void* pointer) {
  BEGIN_IN_CONTEXT;
  free(pointer);
  return 0;
}
EXPORT CUresult cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned flags) {
  (void)flags;
  BEGIN_IN_CONTEXT;
  if ((uintptr_t)pointer % 4096 || bytes % 4096) return INVALID_VALUE;
  memset(pointer, 0xff, bytes);
  return 0;
}
EXPORT CUresult cuMemHostUnregister(void* pointer) {
  (void)pointer;
  BEGIN_IN_CONTEXT;
  return 0;
}

// ---- streams: work runs at once, or is recorded while a stream captures -------------------------------

enum kind { LAUNCH, COPY, FILL };
struct work {
  enum kind kind;
  const char* name;
  void (*kernel)(const void*);
  void (*emulate)(const char*, void (*)(const void*), const int*, int, size_t, const void*);
  int grid[3];
  int threads;
  size_t bytes;
  void* to;
  const void* from;
  unsigned char value;
  char arguments[256];
};
struct graph {
  struct work* works;
  size_t count;
};
struct stream {
  struct graph* capturing;
};

static void run(const struct work* work) {
  switch (work->kind) {
    case LAUNCH:
      pthread_mutex_lock(&lock);
      work->emulate(work->name, work->kernel, work->grid, work->threads, work->bytes,
                    work->arguments);
      pthread_mutex_unlock(&lock);
      break;
    case COPY: memcpy(work->to, work->from, work->bytes); break;
    case FILL: memset(work->to, work->value, work->bytes); break;
  }
}
static CUresult submit(struct stream* stream, const struct work* work) {
  if (!stream) return INVALID_VALUE;  // nothing here uses the default stream
  if (!stream->capturing) {
    run(work);
    return 0;
  }
  struct graph* graph = stream->capturing;
  graph->works = realloc(graph->works, (graph->count + 1) * sizeof *work);
  graph->works[graph->count++] = *work;
  return 0;
}
EXPORT CUresult cuStreamCreate(struct stream** stream, unsigned flags) {
  (void)flags;
  BEGIN_IN_CONTEXT;
  *stream = calloc(1, sizeof **stream);
  return 0;
}
EXPORT CUresult cuStreamDestroy_v2(struct stream* stream) {
  BEGIN_IN_CONTEXT;
  free(stream);
  return 0;
}
EXPORT CUresult cuStreamSynchronize(struct stream* stream) {
  BEGIN_IN_CONTEXT;
  return stream->capturing ? 900 : 0;
}
EXPORT CUresult cuStreamWaitEvent(struct stream* stream, void* event, unsigned flags) {
  (void)stream;
  (void)event;
  (void)flags;
  BEGIN_IN_CONTEXT;
  return 0;
}
EXPORT CUresult cuStreamBeginCapture_v2(struct stream* stream, int mode) {
  (void)mode;
  BEGIN_IN_CONTEXT;
  stream->capturing = calloc(1, sizeof(struct graph));
  return 0;
}
EXPORT CUresult cuStreamEndCapture(struct stream* stream, struct graph** graph) {
  BEGIN_IN_CONTEXT;
  *graph = stream->capturing;
  stream->capturing = NULL;
  return *graph ? 0 : 901;
}
EXPORT CUresult cuGraphInstantiateWithFlags(struct graph** executable, struct graph* graph,
                                            unsigned long long flags) {
  (void)flags;
  BEGIN_IN_CONTEXT;
  *executable = malloc(sizeof **executable);
  (*executable)->count = graph->count;
  (*executable)->works = malloc(graph->count * sizeof(struct work) + 1);
  memcpy((*executable)->works, graph->works, graph->count * sizeof(struct work));
  return 0;
}
EXPORT CUresult cuGraphLaunch(struct graph* graph, struct stream* stream) {
  BEGIN_IN_CONTEXT;
  for (size_t i = 0; i < graph->count; i++) {
    CUresult code = submit(stream, &graph->works[i]);
    if (code) return code;
  }
  return 0;
}
EXPORT CUresult cuGraphDestroy(struct graph* graph) {
  BEGIN_IN_CONTEXT;
  free(graph->works);
  free(graph);
  return 0;
}
EXPORT CUresult cuGraphExecDestroy(struct graph* graph) { return cuGraphDestroy(graph); }
EXPORT CUresult cuEventCreate(void** event, unsigned flags) {
  (void)flags;
  BEGIN_IN_CONTEXT;
  *event = malloc(1);
  return 0;
}
EXPORT CUresult cuEventDestroy_v2(void* event) {
  BEGIN_IN_CONTEXT;
  free(event);
  return 0;
}
EXPORT CUresult cuEventRecord(void* event, struct stream* stream) {
  (void)event;
  (void)stream;
  BEGIN_IN_CONTEXT;
  return 0;
}
EXPORT CUresult cuEventSynchronize(void* event) {
  (void)event;
  BEGIN_IN_CONTEXT;
  return 0;
}
EXPORT CUresult cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  (void)start;
  (void)end;
  BEGIN_IN_CONTEXT;
  *milliseconds = 1;
  return 0;
}

static CUresult copy(void* to, const void* from, size_t bytes, struct stream* stream) {
  struct work work = {.kind = COPY, .to = to, .from = from, .bytes = bytes};
  return submit(stream, &work);
}
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes,
                                     struct stream* stream) {
  BEGIN_IN_CONTEXT;
  return copy((void*)to, from, bytes, stream);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes,
                                     struct stream* stream) {
  BEGIN_IN_CONTEXT;
  return copy(to, (const void*)from, bytes, stream);
}
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                     struct stream* stream) {
  BEGIN_IN_CONTEXT;
  return copy((void*)to, (const void*)from, bytes, stream);
}
EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  BEGIN_IN_CONTEXT;
  memcpy((void*)to, from, bytes);
  return 0;
}
EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  BEGIN_IN_CONTEXT;
  memcpy(to, (const void*)from, bytes);
  return 0;
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes,
                                struct stream* stream) {
  BEGIN_IN_CONTEXT;
  struct work work = {.kind = FILL, .to = (void*)to, .value = value, .bytes = bytes};
  return submit(stream, &work);
}

// ---- modules ---------------------------------------------------------------------------------------------

struct function {
  char name[64];
  void (*kernel)(const void*);
  int threads;
  long shared;
  void* library;
};

EXPORT CUresult cuModuleLoadData(void** module, const void* image) {
  BEGIN_IN_CONTEXT;
  const char* prefix = "emulation:";
  if (strncmp(image, prefix, strlen(prefix)) != 0) return 200;
  *module = dlopen((const char*)image + strlen(prefix), RTLD_NOW | RTLD_LOCAL);
  if (!*module) {
    fprintf(stderr, "%s\n", dlerror());
    return 200;
  }
  return device.major < 8 ? NO_BINARY : 0;
}
EXPORT CUresult cuModuleUnload(void* module) {
  BEGIN_IN_CONTEXT;
  (void)module;  // stays loaded: functions are shared by modules of the same image
  return 0;
}
EXPORT CUresult cuModuleGetFunction(struct function** function, void* module, const char* name) {
  BEGIN_IN_CONTEXT;
  char symbol[128];
  snprintf(symbol, sizeof symbol, "%s_kernel", name);
  void* kernel = dlsym(module, symbol);
  if (!kernel) return NOT_FOUND;
  struct function* found = calloc(1, sizeof *found);
  snprintf(found->name, sizeof found->name, "%s", name);
  found->kernel = (void (*)(const void*))kernel;
  snprintf(symbol, sizeof symbol, "%s_threads", name);
  found->threads = *(const int*)dlsym(module, symbol);
  found->shared = 48 << 10;
  found->library = module;
  *function = found;
  return 0;
}
EXPORT CUresult cuFuncSetAttribute(struct function* function, int attribute, int value) {
  BEGIN_IN_CONTEXT;
  if (attribute != 8 || value > device.shared) return INVALID_VALUE;
  function->shared = value;
  return 0;
}
EXPORT CUresult cuLaunchKernel(struct function* function, unsigned x, unsigned y, unsigned z,
                               unsigned threads, unsigned ty, unsigned tz, unsigned shared,
                               struct stream* stream, void** arguments, void** extra) {
  (void)extra;
  BEGIN_IN_CONTEXT;
  int sound = x > 0 && y > 0 && y < 65536 && z > 0 && z < 65536 && ty == 1 && tz == 1 &&
              (int)threads == function->threads && (long)shared <= function->shared;
  if (!sound) return INVALID_VALUE;
  struct work work = {.kind = LAUNCH,
                      .name = function->name,
                      .kernel = function->kernel,
                      .grid = {(int)x, (int)y, (int)z},
                      .threads = (int)threads,
                      .bytes = shared};
  work.emulate = (void (*)(const char*, void (*)(const void*), const int*, int, size_t,
                           const void*))dlsym(function->library, "moontide_emulate");
  memcpy(work.arguments, arguments[0], sizeof work.arguments);
  return submit(stream, &work);
}
