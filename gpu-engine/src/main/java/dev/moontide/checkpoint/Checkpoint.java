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
package dev.moontide.checkpoint;

import dev.moontide.api.MoontideException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The tensors of a checkpoint's folder: one {@code model.safetensors}, or the shards its index
 * names. Files are mapped, never read onto the heap, and every header is checked before any tensor
 * is handed out. Immutable and safe for concurrent use; mappings and open files go when it is
 * collected.
 */
public final class Checkpoint {
  private final Path folder;
  private final Map<String, TensorData> tensors;

  private Checkpoint(Path folder, Map<String, TensorData> tensors) {
    this.folder = folder;
    this.tensors = tensors;
  }

  /**
   * Opens the checkpoint in {@code folder}.
   *
   * @throws MoontideException that lists everything wrong with its files
   */
  public static Checkpoint open(Path folder) {
    Problems problems = new Problems();
    Checkpoint checkpoint = scan(folder, problems);
    problems.throwIfAny(folder);
    return checkpoint;
  }

  /** Opens what can be opened, and adds what is wrong to {@code problems}. */
  public static Checkpoint scan(Path folder, Problems problems) {
    return scan(folder, problems, MappedFile.CHUNK_BYTES);
  }

  static Checkpoint scan(Path folder, Problems problems, long chunkBytes) {
    return new Checkpoint(folder, new CheckpointFiles(folder, problems, chunkBytes).read());
  }

  public Path folder() {
    return folder;
  }

  public boolean contains(String name) {
    return tensors.containsKey(name);
  }

  /** Names of all tensors, in the order of the files. */
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  /** Descriptions of all tensors, in the order of the files. */
  public Collection<StoredTensor> tensors() {
    return tensors.values().stream().map(TensorData::tensor).toList();
  }

  /**
   * The vector {@code name}, as a matrix of one row.
   *
   * @throws MoontideException unless it is there as BF16, F16 or F32 [length]
   */
  public PlainMatrix vector(String name, int length) {
    return plain(name, List.of((long) length), 1, length);
  }

  /**
   * The matrix {@code name}, which is not quantised.
   *
   * @throws MoontideException unless it is there as BF16, F16 or F32 [rows, columns]
   */
  public PlainMatrix matrix(String name, int rows, int columns) {
    return plain(name, List.of((long) rows, (long) columns), rows, columns);
  }

  /**
   * The linear layer's weight {@code name}, stored plainly or as {@code quantization} says.
   *
   * @throws MoontideException unless it is there in one of these forms as [rows, columns]
   */
  public StoredMatrix linear(String name, int rows, int columns, Quantization quantization) {
    boolean packed = contains(name + "_packed");
    if (packed && contains(name)) {
      throw MoontideException.checkpoint(
          "%s: holds both tensor %s and %s_packed, expected one of them", folder, name, name);
    }
    if (packed) {
      return packedInt4(name, rows, columns, quantization);
    }
    TensorData data = tensors.get(name);
    if (data != null && data.tensor().type() == StoredType.F8_E4M3) {
      return blockFp8(name, rows, columns, quantization);
    }
    if (data != null && contains(Quantization.scaleInv(name))) {
      throw MoontideException.checkpoint(
          "%s: tensor %s is %s, but has scales in %s, expected F8_E4M3",
          folder, name, data.tensor().type(), Quantization.scaleInv(name));
    }
    return matrix(name, rows, columns);
  }

  private BlockFp8Matrix blockFp8(String name, int rows, int columns, Quantization quantization) {
    if (!(quantization instanceof Quantization.BlockFp8 block)) {
      throw MoontideException.checkpoint(
          "%s: tensor %s is F8_E4M3, but config.json has no quantization_config with quant_method"
              + " fp8",
          folder, name);
    }
    TensorData data = require(name, List.of((long) rows, (long) columns), StoredType.F8_E4M3);
    int scaleRows = ceil(rows, block.blockRows());
    int scaleColumns = ceil(columns, block.blockColumns());
    PlainMatrix scales = matrix(Quantization.scaleInv(name), scaleRows, scaleColumns);
    return new BlockFp8Matrix(data, new Scales(scales), block, rows, columns);
  }

  private PackedInt4Matrix packedInt4(
      String name, int rows, int columns, Quantization quantization) {
    String packedName = name + "_packed";
    if (!(quantization instanceof Quantization.PackedInt4 group)) {
      throw MoontideException.checkpoint(
          "%s: tensor %s is packed INT4, but config.json has no quantization_config with format"
              + " pack-quantized",
          folder, packedName);
    }
    if (columns % PackedInt4Matrix.PER_WORD != 0) {
      throw MoontideException.checkpoint(
          "%s: tensor %s has rows of %d weights, expected a multiple of %d",
          folder, packedName, columns, PackedInt4Matrix.PER_WORD);
    }
    TensorData packed =
        require(
            packedName,
            List.of((long) rows, (long) columns / PackedInt4Matrix.PER_WORD),
            StoredType.I32);
    PlainMatrix scales = matrix(name + "_scale", rows, ceil(columns, group.groupSize()));
    return new PackedInt4Matrix(packed, new Scales(scales), group, rows, columns);
  }

  private PlainMatrix plain(String name, List<Long> shape, int rows, int columns) {
    TensorData data = require(name, shape, StoredType.BF16, StoredType.F16, StoredType.F32);
    return new PlainMatrix(data, rows, columns);
  }

  private TensorData require(String name, List<Long> shape, StoredType... types) {
    TensorData data = tensors.get(name);
    List<StoredType> allowed = new ArrayList<>(List.of(types));
    if (data == null) {
      throw MoontideException.checkpoint(
          "%s: tensor %s is missing, expected %s %s", folder, name, allowed, shape);
    }
    StoredTensor tensor = data.tensor();
    if (!allowed.contains(tensor.type()) || !shape.equals(tensor.shape())) {
      throw MoontideException.checkpoint(
          "%s: tensor %s is %s %s, expected %s %s",
          folder, name, tensor.type(), tensor.shape(), allowed, shape);
    }
    return data;
  }

  private static int ceil(int size, int block) {
    return (size + block - 1) / block;
  }
}
