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

import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.tensor.DType;

/**
 * The types matrix products take. The left factor is an operand; the right one is a weight or a
 * page of the latent cache, all but the whole of an engine's memory. oneDNN sums in float32 in any
 * case.
 */
enum Arithmetic {
  F32(DType.F32, DType.F32, "f32"),

  /** On a CPU that multiplies bf16 natively. */
  BF16(DType.BF16, DType.BF16, "bf16"),

  /**
   * On any other: weights and cache take half the memory of float32, and oneDNN widens them, which
   * is exact, as it multiplies them with operands in float32.
   */
  WIDENED(DType.F32, DType.BF16, "bf16 widened to f32");

  /** oneDNN widens whole registers of AVX2; for other widths it has reference code alone. */
  private static final int WIDENED_COLUMNS = 8;

  /**
   * Inputs a product that widens sums over at most, a multiple of every block of {@link
   * PageLayout}: oneDNN 3.11 and 3.13 give wrong sums over more than 512 with AVX-512 and over more
   * than 1,024 with AVX2.
   */
  private static final int WIDENED_INNER = 512;

  /**
   * Inputs a product in bf16 sums over at most: with AVX512_BF16 a call of one row over more than
   * 1,024 has other bits than one of several.
   */
  private static final int BF16_INNER = 1024;

  private final DType operand;
  private final DType stored;
  private final String text;

  Arithmetic(DType operand, DType stored, String text) {
    this.operand = operand;
    this.stored = stored;
    this.text = text;
  }

  /** What {@code precision} means on this CPU; {@code AUTO} takes bf16 where it is native. */
  static Arithmetic of(Precision precision, Dnnl dnnl) {
    return switch (precision) {
      case F32 -> F32;
      case BF16 -> of(DType.BF16, dnnl);
      case AUTO -> NativeBf16.available(dnnl) ? BF16 : F32;
    };
  }

  /** This CPU's arithmetic with weights stored in {@code type}. */
  static Arithmetic of(DType type, Dnnl dnnl) {
    return switch (type) {
      case F32 -> F32;
      case BF16 -> NativeBf16.available(dnnl) ? BF16 : WIDENED;
    };
  }

  /** Type of operands. */
  DType operand() {
    return operand;
  }

  /** Type of weights and of the latent cache. */
  DType stored() {
    return stored;
  }

  /**
   * Type of a right factor of {@code columns} columns, the last panel of an odd weight, say:
   * float32 holding numbers of {@link #stored()} where oneDNN could not widen it.
   */
  DType stored(int columns) {
    return this == WIDENED && columns % WIDENED_COLUMNS != 0 ? operand : stored;
  }

  /** The most inputs one call of oneDNN may sum over with a right factor in {@link #stored()}. */
  int mostInner() {
    return switch (this) {
      case F32 -> Integer.MAX_VALUE;
      case BF16 -> BF16_INNER;
      case WIDENED -> WIDENED_INNER;
    };
  }

  @Override
  public String toString() {
    return text;
  }
}
