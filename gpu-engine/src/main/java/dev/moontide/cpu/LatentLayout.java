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
  private final DType type;
  private final int latentDim;
  private final int cacheColumns;
  private final int stride;
  private final PageLayout keys;
  private final PageLayout values;
  private final MatmulKernel scores;
  private final MatmulKernel firstSum;
  private final MatmulKernel nextSum;

  LatentLayout(MatmulKernels kernels, DType type, int blockSize, Attention attention) {
    this.type = type;
    latentDim = attention.latentDim();
    cacheColumns = attention.cacheColumns();
    stride = PageLayout.roundUp(blockSize, 16);
    keys = new PageLayout(type, cacheColumns, blockSize);
    values = new PageLayout(type, blockSize, latentDim);
    scores =
        kernels.of(
            new MatmulShape(
                type, cacheColumns, blockSize, cacheColumns, DType.F32, stride, true, false));
    firstSum = kernels.of(sum(blockSize, false));
    nextSum = kernels.of(sum(blockSize, true));
  }

  private MatmulShape sum(int blockSize, boolean accumulate) {
    return new MatmulShape(
        type, blockSize, latentDim, stride, DType.F32, latentDim, true, accumulate);
  }

  /** Bytes of both pages. */
  static long blockBytes(DType type, int blockSize, Attention attention) {
    return new PageLayout(type, attention.cacheColumns(), blockSize).bytes()
        + new PageLayout(type, blockSize, attention.latentDim()).bytes();
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

  /** {@code [rows, cacheColumns] · keys}: scores of a block's tokens. */
  MatmulKernel scores() {
    return scores;
  }

  /** {@code [rows, blockSize] · values}: the weighted sum over a block's tokens. */
  MatmulKernel firstSum() {
    return firstSum;
  }

  /** The same, added to the sum over earlier blocks. */
  MatmulKernel nextSum() {
    return nextSum;
  }

  /** Writes a token's entry in bf16: {@code cacheColumns} numbers of {@code entry}. */
  void write(ByteBuffer block, int offset, int token, short[] entry, boolean finite) {
    int step = keys.pairStride() * Short.BYTES;
    int at = offset + keys.index(0, token) * Short.BYTES;
    for (int k = 0; k < cacheColumns; k += 2, at += step) {
      int second = k + 1 < cacheColumns ? entry[k + 1] : 0;
      block.putInt(at, (second << 16) | (entry[k] & 0xFFFF));
    }
    int toValues = offset + (int) valuesOffset();
    int width = values.columnBlock();
    for (int first = 0; first < latentDim; first += width) {
      int to = toValues + values.index(token, first) * Short.BYTES;
      for (int c = first; c < Math.min(latentDim, first + width); c++, to += 2 * Short.BYTES) {
        block.putShort(to, finite ? entry[c] : 0);
      }
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
    // A pair in bf16 and a number in float32 are both 4 bytes.
    int source = fromOffset + keys.index(0, token) * type.bytes();
    int target = keys.index(0, toToken) * type.bytes();
    int step = keys.pairStride() * type.bytes();
    for (int k = 0; k < cacheColumns; k += keys.pair(), source += step, target += step) {
      to.putInt(target, from.getInt(source));
    }
  }

  /** Copies a token's values from one block to another. */
  void copyValues(ByteBuffer from, int fromOffset, int token, ByteBuffer to, int toToken) {
    for (int c = 0; c < latentDim; c++) {
      int source = fromOffset + (int) valuesOffset() + values.index(token, c) * type.bytes();
      int target = (int) valuesOffset() + values.index(toToken, c) * type.bytes();
      switch (type) {
        case BF16 -> to.putShort(target, from.getShort(source));
        case F32 -> to.putInt(target, from.getInt(source));
      }
    }
  }
}
