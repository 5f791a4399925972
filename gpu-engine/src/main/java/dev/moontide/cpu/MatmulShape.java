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

import dev.moontide.tensor.DType;

/**
 * A matrix product {@code [rows, inner] · [inner, columns]} for any number of rows.
 *
 * @param arithmetic types of the factors
 * @param sourceStride elements from one row of the left factor to the next
 * @param target type of the result
 * @param targetStride elements from one row of the result to the next
 * @param paged whether the right factor lies in a {@link PageLayout}, not in the layout oneDNN
 *     prefers
 * @param accumulate whether the product is added to what the result holds
 */
record MatmulShape(
    Arithmetic arithmetic,
    int inner,
    int columns,
    int sourceStride,
    DType target,
    int targetStride,
    boolean paged,
    boolean accumulate) {

  /** A product of packed rows into packed rows. */
  static MatmulShape packed(Arithmetic arithmetic, int inner, int columns, int targetStride) {
    return new MatmulShape(
        arithmetic, inner, columns, inner, DType.F32, targetStride, false, false);
  }

  /** Type of the left factor. */
  DType source() {
    return arithmetic.operand();
  }

  /** Type of the right factor. */
  DType weight() {
    return arithmetic.stored(columns);
  }

  /** Whether oneDNN widens the right factor, which then lies in a {@link PageLayout} too. */
  boolean widens() {
    return weight() != source();
  }

  /**
   * How many calls of oneDNN the product takes, each over a slice of the inputs. Sums that are
   * rounded to bf16 have one.
   */
  int slices() {
    boolean sliced = weight() == arithmetic.stored() && target == DType.F32;
    return sliced ? (inner - 1) / arithmetic.mostInner() + 1 : 1;
  }

  /** The product over slice {@code i}; all but the first add to what the ones before gave. */
  MatmulShape slice(int i) {
    if (slices() == 1) {
      return this;
    }
    int first = i * arithmetic.mostInner();
    return new MatmulShape(
        arithmetic,
        Math.min(arithmetic.mostInner(), inner - first),
        columns,
        sourceStride,
        target,
        targetStride,
        paged,
        accumulate || i > 0);
  }

  /** The same product, added to what the result holds or not. */
  MatmulShape adding(boolean toResult) {
    return new MatmulShape(
        arithmetic, inner, columns, sourceStride, target, targetStride, paged, toResult);
  }

  /** The layout of a right factor that is paged or widened. */
  PageLayout page() {
    return new PageLayout(arithmetic, inner, columns);
  }
}
