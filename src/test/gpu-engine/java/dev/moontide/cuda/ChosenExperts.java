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

import dev.moontide.tensor.Routing;
import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/** Reads what a router chose: how many experts' weights a step reads decides its time. */
public final class ChosenExperts {
  private ChosenExperts() {}

  /** Different experts that the first {@code tokens} tokens chose in the last layer. */
  public static int distinct(Routing routing, int tokens) {
    Memory chosen =
        routing instanceof TileRouting tiles ? tiles.chosen() : ((CudaRouting) routing).chosen();
    int[] experts = new int[tokens * routing.topK()];
    Calls.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
    Calls.check(
        JCudaDriver.cuMemcpyDtoH(
            Pointer.to(experts),
            chosen.buffer().at(chosen.offset()),
            (long) experts.length * Integer.BYTES),
        "cuMemcpyDtoH");
    return (int) Arrays.stream(experts).distinct().count();
  }
}
