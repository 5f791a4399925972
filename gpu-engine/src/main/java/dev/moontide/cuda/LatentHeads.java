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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Weight;

/**
 * {@code kv_b_proj} by head, in bf16, as {@link MmaAttention} multiplies with it.
 *
 * @param absorbed keys, transposed: [heads, latent, nope]
 * @param up values: [heads, value, latent]
 */
record LatentHeads(int rows, int columns, Memory absorbed, Memory up) implements Weight {
  static long absorbedBytes(Attention attention) {
    return (long) attention.heads() * attention.latentDim() * attention.nopeDim() * Short.BYTES;
  }

  static long upBytes(Attention attention) {
    return (long) attention.heads() * attention.valueDim() * attention.latentDim() * Short.BYTES;
  }

  /** What it takes in an {@link Arena}. */
  static long arenaBytes(Attention attention) {
    return Arena.rounded(absorbedBytes(attention)) + Arena.rounded(upBytes(attention));
  }

  /** Brings {@code source} to the device. Its thread is bound to it. */
  static LatentHeads upload(
      MatrixSource source, Attention attention, Arena arena, Staging staging) {
    Memory absorbed = arena.allocate(absorbedBytes(attention));
    Memory up = arena.allocate(upBytes(attention));
    int latent = attention.latentDim();
    int nope = attention.nopeDim();
    int value = attention.valueDim();
    Staging.Pieces pieces = staging.pieces();
    for (int head = 0; head < attention.heads(); head++) {
      int first = head * (nope + value);
      pieces.send(
          absorbed,
          (long) head * latent * nope * Short.BYTES,
          target -> {
            float[] keys = new float[nope * latent];
            source.read(first, nope, keys, 0);
            for (int l = 0; l < latent; l++) {
              for (int n = 0; n < nope; n++) {
                target.putShort(Bf16.of(keys[n * latent + l]));
              }
            }
          });
      pieces.send(
          up,
          (long) head * value * latent * Short.BYTES,
          target -> {
            float[] values = new float[value * latent];
            source.read(first + nope, value, values, 0);
            for (float number : values) {
              target.putShort(Bf16.of(number));
            }
          });
    }
    pieces.await();
    return new LatentHeads(source.rows(), source.columns(), absorbed, up);
  }

  @Override
  public long bytes() {
    return absorbed.bytes() + up.bytes();
  }
}
