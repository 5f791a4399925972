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
 * A weight of tiles on the device.
 *
 * @param splits pieces of K that are summed by themselves, ascending; 1 for one sum
 * @param values its tiles
 * @param scales float32, one for each FP8 tile; none where they are bf16
 */
record TileWeight(TileLayout layout, int splits, Memory values, Memory scales) implements Weight {
  @Override
  public int rows() {
    return layout.rows();
  }

  @Override
  public int columns() {
    return layout.columns();
  }

  @Override
  public long bytes() {
    return values.bytes() + scales.bytes();
  }
}
