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
package dev.moontide.model;

import dev.moontide.checkpoint.Quantization;
import java.util.List;

/** Reads {@code quantization_config}. */
final class QuantizationReader {
  private static final int MAX_BLOCK = 1 << 16;

  private QuantizationReader() {}

  /** Reads it from {@code keys}, the object it stands in. */
  static Quantization read(ConfigKeys keys) {
    if (!keys.has("quantization_config")) {
      return new Quantization.None();
    }
    ConfigKeys config = keys.object("quantization_config");
    return switch (config.text("quant_method", "")) {
      case "fp8" -> blockFp8(config);
      case "compressed-tensors" -> packedInt4(config);
      default -> {
        config.wrong("quant_method", "fp8 or compressed-tensors");
        yield new Quantization.None();
      }
    };
  }

  private static Quantization blockFp8(ConfigKeys config) {
    config.oneOf("fmt", "e4m3");
    List<Integer> block = config.ids("weight_block_size");
    if (block.size() != 2 || block.get(0) < 1 || block.get(1) < 1) {
      config.wrong("weight_block_size", "two positive integers, rows and columns");
      return new Quantization.None();
    }
    return new Quantization.BlockFp8(block.get(0), block.get(1));
  }

  private static Quantization packedInt4(ConfigKeys config) {
    config.required("format", "pack-quantized");
    ConfigKeys weights = config.onlyObject("config_groups").object("weights");
    weights.required("num_bits", "4");
    weights.required("type", "int");
    weights.required("symmetric", "true");
    weights.required("strategy", "group");
    weights.absent("actorder");
    int groupSize = weights.integer("group_size", 8, MAX_BLOCK);
    if (groupSize % 8 != 0) {
      weights.wrong("group_size", "a multiple of 8");
    }
    return new Quantization.PackedInt4(groupSize);
  }
}
