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

/** Token-expert pairs ordered by expert, then token, and their results added up by token. */
final class PairOrder {
  private static final int THREADS = 256;

  /** The tiles of places, each of one expert, that a grouped product goes by. */
  record Tiles(Memory expert, Memory row, Memory end, int count) {}

  private final Execution run;
  private final Kernel count;
  private final Kernel order;
  private final Kernel combine;

  PairOrder(Execution run) {
    this.run = run;
    count = run.kernels.kernel("count_pairs", THREADS);
    order = run.kernels.kernel("order_pairs", THREADS);
    combine = run.kernels.kernel("combine_experts", THREADS);
  }

  /**
   * Orders the pairs that are chosen.
   *
   * @param tile places of a tile
   */
  Tiles run(CudaRouting routing, int pairs, int experts, int tile) {
    int tiles = CudaRouting.maxTiles(pairs, experts, tile);
    launch(count, routing, pairs, experts, tile, tiles);
    launch(order, routing, pairs, experts, tile, tiles);
    return new Tiles(routing.tileExpert(), routing.tileRow(), routing.tileEnd(), tiles);
  }

  private void launch(
      Kernel kernel, CudaRouting routing, int pairs, int experts, int tile, int tiles) {
    run.launcher
        .of(kernel)
        .pointer(routing.chosen())
        .pointer(routing.counts())
        .pointer(routing.token())
        .pointer(routing.place())
        .pointer(routing.tileExpert())
        .pointer(routing.tileRow())
        .pointer(routing.tileEnd())
        .integer(pairs)
        .integer(routing.topK())
        .integer(experts)
        .integer(tile)
        .integer(tiles)
        .grid(experts, 1, 1);
  }

  /** Adds to each of {@code n} tokens its places' {@code results}, in ascending order of expert. */
  void combine(CudaTensor out, long results, CudaRouting routing, int n) {
    run.launcher
        .of(combine)
        .pointer(out.memory())
        .pointer(results)
        .pointer(routing.weights())
        .pointer(routing.place())
        .integer(out.columns())
        .integer(routing.topK())
        .grid(n, 1, 1);
  }
}
