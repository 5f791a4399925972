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

import dev.moontide.tensor.Router;
import org.jspecify.annotations.Nullable;

/** The router: its gate's product in float32, then each token's choice. */
final class Routes {
  private static final int THREADS = 128;

  /** Tokens of a block. */
  private static final int TOKENS = 4;

  private final Execution run;
  private final LinearProducts products;
  private @Nullable Kernel kernel;
  private @Nullable Router shape;

  Routes(Execution run, LinearProducts products) {
    this.run = run;
    this.products = products;
  }

  void run(
      CudaRouting routing, CudaTensor x, CudaWeight gate, CudaWeight bias, Router router, int n) {
    CudaTensor logits =
        new CudaTensor(routing.capacity(), router.experts(), false, routing.logits());
    products.multiplyFloats(logits, x, gate, n);
    choose(routing.chosen(), routing.weights(), routing.logits(), 1, 0, bias, router, n);
  }

  /** Each token's choice by logits that are the sum of {@code parts}. */
  void choose(
      Memory chosen,
      Memory weights,
      Memory logits,
      int parts,
      long partStride,
      CudaWeight bias,
      Router router,
      int n) {
    run.launcher
        .of(route(router))
        .pointer(chosen)
        .pointer(weights)
        .pointer(logits)
        .pointer(bias.values())
        .wide(partStride)
        .integer(n)
        .integer(parts)
        .integer(router.experts())
        .integer(router.topK())
        .integer(router.groups())
        .integer(router.topGroups())
        .flag(router.normalise())
        .real(router.scale())
        .grid(Tiles.ceil(n, TOKENS), 1, 1);
  }

  private Kernel route(Router router) {
    Kernel chosen = kernel;
    if (chosen == null || !router.equals(shape)) {
      int words = TOKENS * (2 * router.experts() + router.groups() + router.topK());
      chosen = run.kernels.kernel("route", THREADS, words * Integer.BYTES);
      kernel = chosen;
      shape = router;
    }
    return chosen;
  }
}
