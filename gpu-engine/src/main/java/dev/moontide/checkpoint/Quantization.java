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

import java.util.List;

/** How a checkpoint stores the weights of its linear layers ({@code quantization_config}). */
public sealed interface Quantization {
  /** For reports. */
  String description();

  /** As BF16, F16 or F32. */
  record None() implements Quantization {
    @Override
    public String description() {
      return "plain numbers";
    }
  }

  /**
   * FP8 E4M3 with one scale for each block of the matrix ({@code quant_method: fp8}).
   *
   * @param blockRows {@code weight_block_size[0]}
   * @param blockColumns {@code weight_block_size[1]}
   */
  record BlockFp8(int blockRows, int blockColumns) implements Quantization {
    @Override
    public String description() {
      return "FP8 E4M3, a scale for each %d × %d".formatted(blockRows, blockColumns);
    }
  }

  /**
   * Symmetric INT4, eight to an I32, one scale for each group of a row ({@code quant_method:
   * compressed-tensors, format: pack-quantized}).
   *
   * @param groupSize {@code group_size}, a multiple of 8
   */
  record PackedInt4(int groupSize) implements Quantization {
    @Override
    public String description() {
      return "INT4, a scale for each %d of a row".formatted(groupSize);
    }
  }

  /** Every tensor that may belong to the linear weight {@code name}, itself first. */
  static List<String> tensorNames(String name) {
    return List.of(name, scaleInv(name), name + "_packed", name + "_scale", name + "_shape");
  }

  /** Name of the FP8 scales of {@code weight}. */
  static String scaleInv(String weight) {
    return weight + "_scale_inv";
  }
}
