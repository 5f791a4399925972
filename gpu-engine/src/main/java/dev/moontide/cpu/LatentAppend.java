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

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.cpu.vector.RmsNorm;
import dev.moontide.cpu.vector.Rows;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Step;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Writes the step's tokens into the latent cache. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class LatentAppend extends RowTasks {
  private final Lane[] lanes;
  private final DType type;

  private LatentCache cache;
  private int layer;
  private NativeTensor kv;
  private int from;
  private float[] gain;
  private RotationTable rotations;
  private Attention attention;
  private Step step;

  LatentAppend(Workers workers, Lane[] lanes, DType type) {
    super(workers);
    this.lanes = lanes;
    this.type = type;
  }

  void run(
      LatentCache into,
      int layerIndex,
      NativeTensor input,
      int firstColumn,
      float[] gains,
      RotationTable table,
      Attention shape,
      Step tokens) {
    cache = into;
    layer = layerIndex;
    kv = input;
    from = firstColumn;
    gain = gains;
    rotations = table;
    attention = shape;
    step = tokens;
    runRows(tokens.tokens(), 4L * shape.cacheColumns());
  }

  @Override
  void rows(int first, int end, int worker) {
    Lane lane = lanes[worker];
    int latentDim = attention.latentDim();
    int width = attention.cacheColumns();
    float[] entry = lane.floats(width);
    float[] row = lane.scratch(width);
    for (int t = first; t < end; t++) {
      kv.get(t, from, row, 0, width);
      RmsNorm.normalise(row, 0, gain, attention.normEpsilon(), entry, 0, latentDim);
      rotations.rotate(step.position(t), row, latentDim, entry, latentDim);
      boolean finite = Rows.finite(entry, 0, width);
      if (!finite) {
        Arrays.fill(entry, 0, width, Float.NaN);
      }
      write(lane, t, entry, finite);
    }
  }

  private void write(Lane lane, int t, float[] entry, boolean finite) {
    int index = step.cacheIndex(t);
    int block = step.blockTable(step.sequence(t))[index / cache.blockSize()];
    int token = index % cache.blockSize();
    ByteBuffer buffer = cache.buffer(layer, block);
    int offset = cache.offset(block);
    switch (type) {
      case BF16 -> {
        short[] rounded = lane.shorts(attention.cacheColumns());
        Bf16.fromFloats(entry, 0, rounded, 0, attention.cacheColumns());
        cache.layout().write(buffer, offset, token, rounded, finite);
      }
      case F32 -> cache.layout().write(buffer, offset, token, entry, finite);
    }
  }
}
