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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import java.nio.ByteBuffer;

/**
 * One block of the latent cache: a page of keys (latent and rotated key, a token a column) followed
 * by a page of values (latent, a token a row), and the products that read them.
 */
final class LatentLayout {
  private final int latentDim;
  private final int cacheColumns;
  private final int stride;
  private final int sumStride;
  private final PageLayout keys;
  private final PageLayout values;
  private final Product scores;
  private final Product firstSum;
  private final Product nextSum;

  LatentLayout(MatmulKernels kernels, Arithmetic arithmetic, int blockSize, Attention attention) {
    latentDim = attention.latentDim();
    cacheColumns = attention.cacheColumns();
    keys = new PageLayout(arithmetic, cacheColumns, blockSize);
    values = new PageLayout(arithmetic, blockSize, latentDim);
    stride = keys.productColumns();
    sumStride = values.productColumns();
    scores = kernels.of(shape(keys, cacheColumns, stride, false));
    firstSum = kernels.of(shape(values, stride, sumStride, false));
    nextSum = kernels.of(shape(values, stride, sumStride, true));
  }

  /** A product with a page, its padding included: rows of scores and sums have room for it. */
  private static MatmulShape shape(
      PageLayout page, int sourceStride, int targetStride, boolean accumulate) {
    return new MatmulShape(
        page.arithmetic(),
        page.rows(),
        targetStride,
        sourceStride,
        DType.F32,
        targetStride,
        true,
        accumulate);
  }

  /** Bytes of both pages. */
  static long blockBytes(Arithmetic arithmetic, int blockSize, Attention attention) {
    return new PageLayout(arithmetic, attention.cacheColumns(), blockSize).bytes()
        + new PageLayout(arithmetic, blockSize, attention.latentDim()).bytes();
  }

  long blockBytes() {
    return keys.bytes() + values.bytes();
  }

  /** Bytes from the page of keys to the page of values. */
  long valuesOffset() {
    return keys.bytes();
  }

  /** Elements from one row of scores or probabilities of a block to the next, a multiple of 16. */
  int stride() {
    return stride;
  }

  /** Elements from one row of sums of latents to the next, a multiple of 16. */
  int sumStride() {
    return sumStride;
  }

  /** {@code [rows, cacheColumns] · keys}: scores of a block's tokens. */
  Product scores() {
    return scores;
  }

  /** {@code [rows, blockSize] · values}: the weighted sum over a block's tokens. */
  Product firstSum() {
    return firstSum;
  }

  /** The same, added to the sum over earlier blocks. */
  Product nextSum() {
    return nextSum;
  }

  /** Writes a token's entry in bf16: {@code cacheColumns} numbers of {@code entry}. */
  void write(ByteBuffer block, int offset, int token, short[] entry, boolean finite) {
    for (int first = 0; first < cacheColumns; first += keys.sliceRows()) {
      writeKeys(block, offset + keys.index(first, token) * Short.BYTES, entry, first);
    }
    int toValues = offset + (int) valuesOffset();
    int width = values.columnBlock();
    int step = values.pair() * Short.BYTES;
    for (int first = 0; first < latentDim; first += width) {
      int to = toValues + values.index(token, first) * Short.BYTES;
      for (int c = first; c < Math.min(latentDim, first + width); c++, to += step) {
        block.putShort(to, finite ? entry[c] : 0);
      }
    }
  }

  /** Writes the slice of a token's keys that begins with {@code entry[first]}. */
  private void writeKeys(ByteBuffer block, int to, short[] entry, int first) {
    int step = keys.pairStride() * Short.BYTES;
    int end = Math.min(cacheColumns, first + keys.sliceRows());
    int at = to;
    if (keys.pair() == 1) {
      for (int k = first; k < end; k++, at += step) {
        block.putShort(at, entry[k]);
      }
      return;
    }
    for (int k = first; k < end; k += 2, at += step) {
      int second = k + 1 < cacheColumns ? entry[k + 1] : 0;
      block.putInt(at, (second << 16) | (entry[k] & 0xFFFF));
    }
  }

  /** Writes a token's entry in float32. */
  void write(ByteBuffer block, int offset, int token, float[] entry, boolean finite) {
    int step = keys.pairStride() * Float.BYTES;
    int at = offset + keys.index(0, token) * Float.BYTES;
    for (int k = 0; k < cacheColumns; k++, at += step) {
      block.putFloat(at, entry[k]);
    }
    int toValues = offset + (int) valuesOffset();
    int width = values.columnBlock();
    for (int first = 0; first < latentDim; first += width) {
      int to = toValues + values.index(token, first) * Float.BYTES;
      for (int c = first; c < Math.min(latentDim, first + width); c++, to += Float.BYTES) {
        block.putFloat(to, finite ? entry[c] : 0f);
      }
    }
  }

  /** Copies a token's keys from one block to another. */
  void copyKeys(ByteBuffer from, int fromOffset, int token, ByteBuffer to, int toToken) {
    int bytes = keys.type().bytes();
    int step = keys.pairStride() * bytes;
    int pair = keys.pair();
    for (int first = 0; first < cacheColumns; first += keys.sliceRows()) {
      int source = fromOffset + keys.index(first, token) * bytes;
      int target = keys.index(first, toToken) * bytes;
      int end = Math.min(cacheColumns, first + keys.sliceRows());
      for (int k = first; k < end; k += pair, source += step, target += step) {
        copy(from, source, to, target, pair * bytes);
      }
    }
  }

  /** Copies a token's values from one block to another. */
  void copyValues(ByteBuffer from, int fromOffset, int token, ByteBuffer to, int toToken) {
    int bytes = values.type().bytes();
    for (int c = 0; c < latentDim; c++) {
      int source = fromOffset + (int) valuesOffset() + values.index(token, c) * bytes;
      int target = (int) valuesOffset() + values.index(toToken, c) * bytes;
      copy(from, source, to, target, bytes);
    }
  }

  /** Copies 2 or 4 bytes: a number in bf16; a number in float32 or a pair in bf16. */
  private static void copy(ByteBuffer from, int source, ByteBuffer to, int target, int bytes) {
    if (bytes == Short.BYTES) {
      to.putShort(target, from.getShort(source));
    } else {
      to.putInt(target, from.getInt(source));
    }
  }
}
