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
package dev.moontide.job.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.checkpoint.SafetensorsWriter;
import dev.moontide.checkpoint.StoredType;
import dev.moontide.model.ExpectedTensor;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.TensorInventory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A checkpoint of random bf16 weights in the published layout, the same bytes for the same shape.
 * Weights are uniform with the variance of {@code 1 / inputs}, gains are 1 and biases 0, so that
 * activations keep their size and routing spreads over the experts.
 */
public final class RandomCheckpoint {
  private static final int BUFFER_BYTES = 8 << 20;
  private static final long SEED = 1;

  private RandomCheckpoint() {}

  /** Writes {@code config.json} and {@code model.safetensors} into {@code folder}. */
  public static void write(Path folder, BenchShape shape) throws IOException {
    Files.createDirectories(folder);
    Path config = folder.resolve(ModelConfig.FILE);
    new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(config.toFile(), shape.config());
    List<ExpectedTensor> tensors = TensorInventory.of(ModelConfig.load(folder)).tensors();
    List<SafetensorsWriter.Layout> layouts =
        tensors.stream()
            .map(t -> new SafetensorsWriter.Layout(t.name(), StoredType.BF16, t.shape()))
            .toList();
    SplittableRandom random = new SplittableRandom(SEED);
    ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(folder.resolve("model.safetensors"), layouts)) {
      for (ExpectedTensor tensor : tensors) {
        write(writer, tensor, random, buffer);
      }
    }
  }

  private static void write(
      SafetensorsWriter writer, ExpectedTensor tensor, SplittableRandom random, ByteBuffer buffer)
      throws IOException {
    boolean isVector = tensor.kind() == ExpectedTensor.Kind.VECTOR;
    float constant = tensor.name().endsWith("bias") ? 0 : 1;
    float scale = (float) Math.sqrt(3.0 / tensor.columns()) / (1 << 15);
    long left = tensor.elements();
    while (left > 0) {
      buffer.clear();
      int count = (int) Math.min(left, buffer.capacity() / 2);
      for (int i = 0; i < count; i++) {
        float value = isVector ? constant : (short) random.nextInt() * scale;
        buffer.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
      }
      writer.write(buffer.flip());
      left -= count;
    }
  }
}
