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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.MatrixSource;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Each stored format against its definition, computed by itself in float64. */
class StoredMatrixTest {
  private static final long WHOLE = MappedFile.CHUNK_BYTES;

  @TempDir Path folder;

  private final SplittableRandom random = new SplittableRandom(7);

  private Checkpoint open(long chunkBytes) {
    Problems problems = new Problems();
    Checkpoint checkpoint = Checkpoint.scan(folder, problems, chunkBytes);
    assertEquals(List.of(), problems.messages());
    return checkpoint;
  }

  private static float[] readAll(MatrixSource source) {
    float[] all = new float[source.rows() * source.columns()];
    source.read(0, source.rows(), all, 0);
    return all;
  }

  /** Value of a binary floating-point pattern with an implied leading one. */
  private static double binary(int bits, int exponentBits, int mantissaBits, int bias) {
    int exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
    int mantissa = bits & ((1 << mantissaBits) - 1);
    double sign = (bits >> (exponentBits + mantissaBits)) == 0 ? 1 : -1;
    double fraction = mantissa / Math.pow(2, mantissaBits);
    return exponent == 0
        ? sign * fraction * Math.pow(2, 1 - bias)
        : sign * (1 + fraction) * Math.pow(2, exponent - bias);
  }

  private byte[] randomBytes(int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  @Test
  void everyF16PatternHasItsValue() throws Exception {
    byte[] bytes = new byte[2 << 16];
    for (int bits = 0; bits < 1 << 16; bits++) {
      TestCheckpoint.little(bytes).putShort(2 * bits, (short) bits);
    }
    new TestCheckpoint().put("w", StoredType.F16, List.of(256L, 256L), bytes).write(folder);
    float[] values = readAll(open(WHOLE).matrix("w", 256, 256));
    for (int bits = 0; bits < 1 << 16; bits++) {
      if ((bits & 0x7c00) != 0x7c00) {
        assertEquals((float) binary(bits, 5, 10, 15), values[bits], "pattern " + bits);
      } else if ((bits & 0x3ff) != 0) {
        assertTrue(Float.isNaN(values[bits]));
      }
    }
    assertEquals(Float.POSITIVE_INFINITY, values[0x7c00]);
    assertEquals(Float.NEGATIVE_INFINITY, values[0xfc00]);
    assertEquals(65504f, values[0x7bff]);
  }

  @Test
  void everyBf16PatternHasItsValue() throws Exception {
    byte[] bytes = new byte[2 << 16];
    for (int bits = 0; bits < 1 << 16; bits++) {
      TestCheckpoint.little(bytes).putShort(2 * bits, (short) bits);
    }
    new TestCheckpoint().put("w", StoredType.BF16, List.of(256L, 256L), bytes).write(folder);
    float[] values = readAll(open(WHOLE).matrix("w", 256, 256));
    for (int bits = 0; bits < 1 << 16; bits++) {
      if ((bits & 0x7f80) != 0x7f80) {
        assertEquals((float) binary(bits, 8, 7, 127), values[bits], "pattern " + bits);
      }
    }
    assertTrue(Float.isNaN(values[0x7fc0]));
    assertEquals(Float.NEGATIVE_INFINITY, values[0xff80]);
  }

  @Test
  void f32IsAsItIs() throws Exception {
    float[] expected = new float[3 * 5];
    byte[] bytes = new byte[4 * expected.length];
    for (int i = 0; i < expected.length; i++) {
      expected[i] = (float) (random.nextDouble() - 0.5);
      TestCheckpoint.little(bytes).putFloat(4 * i, expected[i]);
    }
    new TestCheckpoint().put("w", StoredType.F32, List.of(3L, 5L), bytes).write(folder);
    assertArrayEquals(expected, readAll(open(WHOLE).matrix("w", 3, 5)));
  }

  /** 300 rows of 200 columns: the last blocks of 128 are partial both ways. */
  private float[] writeFp8() throws Exception {
    byte[] bytes = randomBytes(300 * 200);
    for (int bits = 0; bits < 256; bits++) {
      bytes[bits] = (byte) bits;
    }
    float[] scales = new float[3 * 2];
    byte[] scaleBytes = new byte[4 * scales.length];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (float) Math.exp(random.nextDouble() * 8 - 6);
      TestCheckpoint.little(scaleBytes).putFloat(4 * i, scales[i]);
    }
    new TestCheckpoint()
        .put("pad", StoredType.U8, List.of(3L), new byte[3])
        .put("w", StoredType.F8_E4M3, List.of(300L, 200L), bytes)
        .put("w_scale_inv", StoredType.F32, List.of(3L, 2L), scaleBytes)
        .write(folder);
    float[] expected = new float[300 * 200];
    for (int r = 0; r < 300; r++) {
      for (int c = 0; c < 200; c++) {
        int bits = bytes[r * 200 + c] & 0xff;
        double value = (bits & 0x7f) == 0x7f ? Double.NaN : binary(bits, 4, 3, 7);
        expected[r * 200 + c] = (float) (value * scales[(r / 128) * 2 + c / 128]);
      }
    }
    return expected;
  }

  private StoredMatrix openFp8(long chunkBytes) {
    return open(chunkBytes).linear("w", 300, 200, new Quantization.BlockFp8(128, 128));
  }

  @Test
  void fp8IsScaledByBlock() throws Exception {
    float[] expected = writeFp8();
    StoredMatrix matrix = openFp8(WHOLE);
    assertInstanceOf(BlockFp8Matrix.class, matrix);
    assertArrayEquals(expected, readAll(matrix));
    assertEquals(300 * 200 + 4 * 6, matrix.storedBytes());
  }

  /** 6 rows of 88 columns in groups of 32: the last group is partial. */
  private float[] writeInt4(StoredType scaleType) throws Exception {
    byte[] packed = randomBytes(6 * 44);
    byte[] scaleBytes = new byte[2 * 6 * 3];
    double[] scales = new double[6 * 3];
    for (int i = 0; i < scales.length; i++) {
      int bits = scaleType == StoredType.BF16 ? 0x3c00 + random.nextInt(0x200) : 0x2000 + i * 37;
      TestCheckpoint.little(scaleBytes).putShort(2 * i, (short) bits);
      scales[i] = scaleType == StoredType.BF16 ? binary(bits, 8, 7, 127) : binary(bits, 5, 10, 15);
    }
    new TestCheckpoint()
        .put("pad", StoredType.U8, List.of(1L), new byte[1])
        .put("w_packed", StoredType.I32, List.of(6L, 11L), packed)
        .put("w_scale", scaleType, List.of(6L, 3L), scaleBytes)
        .put("w_shape", StoredType.I64, List.of(2L), new byte[16])
        .write(folder);
    float[] expected = new float[6 * 88];
    for (int r = 0; r < 6; r++) {
      for (int c = 0; c < 88; c++) {
        int pair = packed[r * 44 + c / 2] & 0xff;
        int nibble = c % 2 == 0 ? pair & 15 : pair >> 4;
        expected[r * 88 + c] = (float) ((nibble - 8) * scales[r * 3 + c / 32]);
      }
    }
    return expected;
  }

  private StoredMatrix openInt4(long chunkBytes) {
    return open(chunkBytes).linear("w", 6, 88, new Quantization.PackedInt4(32));
  }

  @Test
  void int4IsScaledByGroup() throws Exception {
    for (StoredType scaleType : List.of(StoredType.BF16, StoredType.F16)) {
      float[] expected = writeInt4(scaleType);
      StoredMatrix matrix = openInt4(WHOLE);
      assertInstanceOf(PackedInt4Matrix.class, matrix);
      assertArrayEquals(expected, readAll(matrix));
    }
  }

  /** Chunks end inside rows, scales and single elements, and rows are read from any to any. */
  @ParameterizedTest
  @ValueSource(longs = {1, 7, 64, 1000, 4096})
  void chunksAndPartialReadsChangeNothing(long chunkBytes) throws Exception {
    float[] int4 = writeInt4(StoredType.BF16);
    assertPartialReads(int4, openInt4(chunkBytes));
    float[] fp8 = writeFp8();
    assertPartialReads(fp8, openFp8(chunkBytes));
    byte[] bf16 = randomBytes(2 * 50 * 33);
    new TestCheckpoint()
        .put("pad", StoredType.U8, List.of(3L), new byte[3])
        .put("w", StoredType.BF16, List.of(50L, 33L), bf16)
        .write(folder);
    float[] whole = readAll(open(WHOLE).matrix("w", 50, 33));
    assertPartialReads(whole, open(chunkBytes).matrix("w", 50, 33));
  }

  private void assertPartialReads(float[] expected, MatrixSource source) {
    int columns = source.columns();
    for (int i = 0; i < 20; i++) {
      int first = random.nextInt(source.rows());
      int count = 1 + random.nextInt(source.rows() - first);
      float[] out = new float[5 + count * columns + 2];
      Arrays.fill(out, -7);
      source.read(first, count, out, 5);
      assertArrayEquals(
          Arrays.copyOfRange(expected, first * columns, (first + count) * columns),
          Arrays.copyOfRange(out, 5, 5 + count * columns));
      assertEquals(-7, out[4]);
      assertEquals(-7, out[5 + count * columns]);
    }
  }

  @Test
  void stackedMatricesReadAcrossTheirBorders() throws Exception {
    float[] fp8 = writeFp8();
    StoredMatrix part = openFp8(512);
    MatrixSource stacked = MatrixSource.stack("two", List.of(part, part));
    float[] expected = Arrays.copyOf(fp8, 2 * fp8.length);
    System.arraycopy(fp8, 0, expected, fp8.length, fp8.length);
    assertEquals(600, stacked.rows());
    assertArrayEquals(expected, readAll(stacked));
    assertPartialReads(expected, stacked);
  }

  @Test
  void rowsOutsideTheMatrixAreRefused() throws Exception {
    writeFp8();
    StoredMatrix matrix = openFp8(WHOLE);
    float[] out = new float[400];
    assertThrows(IndexOutOfBoundsException.class, () -> matrix.read(299, 2, out, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> matrix.read(-1, 1, out, 0));
  }

  @Test
  void scalesThatAreNotFiniteAreRefusedByBlock() throws Exception {
    writeFp8();
    TestCheckpoint.copyOf(folder).setFloat("w_scale_inv", 3, Float.NaN).write(folder);
    StoredMatrix fp8 = openFp8(WHOLE);
    float[] out = new float[300 * 200];
    fp8.read(0, 128, out, 0);
    String message = TestCheckpoint.messageOf(() -> fp8.read(128, 1, out, 0));
    assertEquals(
        folder.resolve("model.safetensors")
            + ": tensor w_scale_inv: the scale of block [1, 1] is NaN, expected a finite number: the"
            + " checkpoint is damaged, download it again",
        message);
    assertEquals(message, TestCheckpoint.messageOf(fp8::checkScales));

    writeInt4(StoredType.BF16);
    TestCheckpoint.copyOf(folder).setShort("w_scale", 17, 0xff80).write(folder);
    StoredMatrix int4 = openInt4(WHOLE);
    int4.read(0, 5, out, 0);
    String infinite = TestCheckpoint.messageOf(() -> int4.read(5, 1, out, 0));
    assertTrue(
        infinite.startsWith(
            folder.resolve("model.safetensors")
                + ": tensor w_scale: the scale of block [5, 2] is -Infinity"),
        infinite);
    assertThrows(MoontideException.class, int4::checkScales);
  }

  /** A tensor of 2.5 GiB, all holes but its last row. */
  @Test
  void tensorsBeyondTwoGibibytesAreRead() throws Exception {
    long rows = 5L << 18;
    long columns = 1024;
    Path file = folder.resolve("model.safetensors");
    String header =
        """
        {"w":{"dtype":"BF16","shape":[%d,%d],"data_offsets":[0,%d]}}"""
            .formatted(rows, columns, 2 * rows * columns);
    TestCheckpoint.writeRaw(file, header, 0);
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      long size = Files.size(file) + 2 * rows * columns;
      sparse.setLength(size);
      sparse.seek(size - 2);
      sparse.write(new byte[] {(byte) 0x80, 0x3f});
    }
    PlainMatrix matrix = open(WHOLE).matrix("w", (int) rows, (int) columns);
    float[] last = new float[2 * (int) columns];
    matrix.read((int) rows - 2, 2, last, 0);
    assertEquals(1f, last[last.length - 1]);
    assertEquals(0f, last[last.length - 2]);
    assertFalse(Files.size(file) < 1L << 31);
  }
}
