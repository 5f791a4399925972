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

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** A place in a stream's order that can be waited for. */
final class CudaEvent implements Owned.Resource {
  private final CUevent event = new CUevent();

  CudaEvent(String purpose) {
    Calls.check(
        JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    Open.add(this, "event for " + purpose);
  }

  CUevent handle() {
    return event;
  }

  void record(CudaStream stream) {
    Calls.check(JCudaDriver.cuEventRecord(event, stream.handle()), "cuEventRecord");
  }

  /** Waits until everything before its last record is done; at once if it has none. */
  void synchronise() {
    Calls.check(JCudaDriver.cuEventSynchronize(event), "cuEventSynchronize");
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      Calls.check(JCudaDriver.cuEventDestroy(event), "cuEventDestroy");
    }
  }
}
