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
package dev.moontide.cuda;

import jcuda.driver.CUgraph;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A queue of the device's work, done in its order. */
final class CudaStream implements Owned.Resource {
  private final CUstream stream = new CUstream();

  CudaStream(String purpose) {
    Calls.check(
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    Open.add(this, "stream for " + purpose);
  }

  CUstream handle() {
    return stream;
  }

  /** Copies the first {@code bytes} of {@code from}, which must stay as it is until it is done. */
  void upload(DeviceBuffer to, long offset, PinnedBuffer from, long bytes) {
    Calls.check(
        JCudaDriver.cuMemcpyHtoDAsync(to.at(offset), from.pointer(), bytes, stream),
        "cuMemcpyHtoDAsync",
        "bytes",
        bytes);
  }

  /** Copies into the first {@code bytes} of {@code to}. */
  void download(PinnedBuffer to, DeviceBuffer from, long offset, long bytes) {
    Calls.check(
        JCudaDriver.cuMemcpyDtoHAsync(to.pointer(), from.at(offset), bytes, stream),
        "cuMemcpyDtoHAsync",
        "bytes",
        bytes);
  }

  /** Copies {@code bytes} within {@code memory}, from and to ranges that do not overlap. */
  void copy(Memory memory, long from, long to, long bytes) {
    DeviceBuffer buffer = memory.buffer();
    Calls.check(
        JCudaDriver.cuMemcpyDtoDAsync(
            buffer.at(memory.offset() + to), buffer.at(memory.offset() + from), bytes, stream),
        "cuMemcpyDtoDAsync",
        "bytes",
        bytes);
  }

  /** Work from here on waits for what {@code event} was recorded after. */
  void waitFor(CudaEvent event) {
    Calls.check(JCudaDriver.cuStreamWaitEvent(stream, event.handle(), 0), "cuStreamWaitEvent");
  }

  /** Waits until all its work is done. Failures of earlier work show up here. */
  void synchronise() {
    Calls.check(JCudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  }

  /** From here on work is recorded, not done. */
  void beginCapture() {
    Calls.check(
        JCudaDriver.cuStreamBeginCapture(
            stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
  }

  /** What was recorded. */
  CudaGraph endCapture(String description) {
    CUgraph graph = new CUgraph();
    Calls.check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture", description);
    return CudaGraph.of(graph, description);
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      Calls.check(JCudaDriver.cuStreamDestroy(stream), "cuStreamDestroy");
    }
  }
}
