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
import dev.moontide.tensor.Routing;

/**
 * The experts chosen for each token, and the order in which their pairs are computed.
 *
 * @param logits of the router, float32 [tokens, experts]
 * @param chosen expert of each pair [tokens, topK], ascending within a token
 * @param weights of each pair
 * @param counts pairs of each expert
 * @param token token of each place in the order by expert
 * @param place place of each pair
 * @param tileExpert expert of each tile of places
 * @param tileRow first place of each tile
 * @param tileEnd place after each tile's last
 */
record CudaRouting(
    int capacity,
    int topK,
    int experts,
    Memory logits,
    Memory chosen,
    Memory weights,
    Memory counts,
    Memory token,
    Memory place,
    Memory tileExpert,
    Memory tileRow,
    Memory tileEnd)
    implements Routing {
  /** Places of the smallest tile. */
  static final int SMALLEST_TILE = 8;

  static CudaRouting allocate(Arena arena, int rows, Router router) {
    long pairs = (long) rows * router.topK() * Integer.BYTES;
    long tiles = (long) maxTiles(rows, router, SMALLEST_TILE) * Integer.BYTES;
    return new CudaRouting(
        rows,
        router.topK(),
        router.experts(),
        arena.allocate((long) rows * router.experts() * Float.BYTES),
        arena.allocate(pairs),
        arena.allocate(pairs),
        arena.allocate((long) router.experts() * Integer.BYTES),
        arena.allocate(pairs),
        arena.allocate(pairs),
        arena.allocate(tiles),
        arena.allocate(tiles),
        arena.allocate(tiles));
  }

  /** What it takes in an arena. */
  static long arenaBytes(int rows, Router router) {
    long pairs = Arena.rounded((long) rows * router.topK() * Integer.BYTES);
    long tiles = Arena.rounded((long) maxTiles(rows, router, SMALLEST_TILE) * Integer.BYTES);
    return Arena.rounded((long) rows * router.experts() * Float.BYTES)
        + 4 * pairs
        + Arena.rounded((long) router.experts() * Integer.BYTES)
        + 3 * tiles;
  }

  private static int maxTiles(int rows, Router router, int tile) {
    return maxTiles((long) rows * router.topK(), router.experts(), tile);
  }

  /** The most tiles {@code pairs} can take: every expert may leave its last one unfilled. */
  static int maxTiles(long pairs, int experts, int tile) {
    return (int) Math.min(pairs, pairs / tile + experts);
  }
}
