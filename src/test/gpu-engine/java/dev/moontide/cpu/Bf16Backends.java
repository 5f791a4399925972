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
package dev.moontide.cpu;

import dev.moontide.tensor.DType;
import dev.moontide.tensor.Routing;
import java.util.List;

/** Every way this CPU has to compute with weights in bf16, for tests of other packages. */
public final class Bf16Backends {
  private Bf16Backends() {}

  public static List<String> names() {
    return CpuBackend.arithmetics().stream()
        .filter(arithmetic -> arithmetic.stored() == DType.BF16)
        .map(Arithmetic::name)
        .toList();
  }

  public static CpuOps open(String name, int threads) {
    return CpuOps.create(Arithmetic.valueOf(name), threads);
  }

  /** The {@code k}-th expert of token {@code t}. */
  public static int expert(Routing routing, int t, int k) {
    return ((TokenRouting) routing).experts[t * routing.topK() + k];
  }
}
