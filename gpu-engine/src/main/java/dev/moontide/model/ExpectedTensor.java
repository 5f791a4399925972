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

import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.checkpoint.Quantization;
import dev.moontide.checkpoint.StoredMatrix;
import java.util.List;

/**
 * A tensor a config calls for.
 *
 * @param name in the checkpoint
 * @param kind what it is for
 * @param rows outputs; 1 for a vector
 * @param columns inputs
 */
public record ExpectedTensor(String name, Kind kind, int rows, int columns) {
  /** What a tensor is for, which decides how it may be stored and what becomes of it. */
  public enum Kind {
    /** A gain or bias [columns], computed with in float32. */
    VECTOR,
    /** The embedding, of which a token takes one row; never quantised. */
    TABLE,
    /** The router's gate, computed with in float32; never quantised. */
    FLOAT_MATRIX,
    /** A weight every token is multiplied with; may be quantised. */
    LINEAR,
    /** A routed expert's weight; may be quantised. */
    EXPERT
  }

  /** Its shape in the file. */
  public List<Long> shape() {
    return kind == Kind.VECTOR ? List.of((long) columns) : List.of((long) rows, (long) columns);
  }

  /** Number of elements. */
  public long elements() {
    return (long) rows * columns;
  }

  /**
   * The tensor as {@code checkpoint} stores it.
   *
   * @throws MoontideException if it is missing or of another shape or type
   */
  StoredMatrix in(Checkpoint checkpoint, Quantization quantization) {
    return switch (kind) {
      case VECTOR -> checkpoint.vector(name, columns);
      case TABLE, FLOAT_MATRIX -> checkpoint.matrix(name, rows, columns);
      case LINEAR, EXPERT -> checkpoint.linear(name, rows, columns, quantization);
    };
  }
}
