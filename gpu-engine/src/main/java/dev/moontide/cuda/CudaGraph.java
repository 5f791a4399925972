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
import jcuda.driver.CUgraphExec;
import jcuda.driver.JCudaDriver;

/** Recorded work, submitted as one. */
final class CudaGraph implements Owned.Resource {
  private final CUgraphExec executable = new CUgraphExec();
  private final String description;

  private CudaGraph(String description) {
    this.description = description;
  }

  /** Takes over {@code graph}. */
  static CudaGraph of(CUgraph graph, String description) {
    CudaGraph made = new CudaGraph(description);
    try {
      Calls.check(
          JCudaDriver.cuGraphInstantiate(made.executable, graph, 0),
          "cuGraphInstantiate",
          description);
    } finally {
      Calls.check(JCudaDriver.cuGraphDestroy(graph), "cuGraphDestroy", description);
    }
    Open.add(made, "graph of " + description);
    return made;
  }

  void launch(CudaStream stream) {
    Calls.check(
        JCudaDriver.cuGraphLaunch(executable, stream.handle()), "cuGraphLaunch", description);
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      Calls.check(JCudaDriver.cuGraphExecDestroy(executable), "cuGraphExecDestroy", description);
    }
  }
}
