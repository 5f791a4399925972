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

import dev.moontide.tensor.Weight;

/**
 * {@code kv_b_proj} in bf16, once for each form of attention.
 *
 * @param up as it is: tiles [heads][key, value][8]
 * @param absorbed each head's key part transposed: tiles [heads][4][2]
 */
record LatentTiles(int heads, Memory up, Memory absorbed) implements Weight {
  private static final int HEAD_TILES = 16;
  private static final int ABSORBED_TILES = 8;

  static long upBytes(int heads) {
    return (long) heads * HEAD_TILES * Tiles.BYTES;
  }

  static long absorbedBytes(int heads) {
    return (long) heads * ABSORBED_TILES * Tiles.BYTES;
  }

  @Override
  public int rows() {
    return heads * 256;
  }

  @Override
  public int columns() {
    return 512;
  }

  @Override
  public long bytes() {
    return up.bytes() + absorbed.bytes();
  }
}
