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
 * The experts chosen for each token.
 *
 * @param scores of the router in parts, float32 [splits, capacity, experts]
 * @param chosen experts [tokens, topK], ascending
 * @param weights of each
 */
record TileRouting(
    int capacity, int topK, int experts, Memory scores, Memory chosen, Memory weights)
    implements Routing {
  /** The most parts in which the router sums its scores. */
  private static final int SPLITS = 8;

  /** Parts of scores over {@code columns}, their high and their low parts. */
  static int splits(int columns) {
    return Math.min(SPLITS, 2 * Tiles.ceil(columns, Tiles.BF16_COLUMNS));
  }

  static TileRouting allocate(Arena arena, int rows, Router router) {
    long pairs = (long) rows * router.topK() * Integer.BYTES;
    return new TileRouting(
        rows,
        router.topK(),
        router.experts(),
        arena.allocate((long) SPLITS * rows * router.experts() * Float.BYTES),
        arena.allocate(pairs),
        arena.allocate(pairs));
  }

  /** What it takes in an arena. */
  static long arenaBytes(int rows, Router router) {
    return Arena.rounded((long) SPLITS * rows * router.experts() * Float.BYTES)
        + 2 * Arena.rounded((long) rows * router.topK() * Integer.BYTES);
  }
}
