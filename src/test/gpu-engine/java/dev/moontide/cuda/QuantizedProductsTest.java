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
package dev.moontide.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Backend;
import dev.moontide.tensor.Cells;
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.RandomMatrix;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Products with FP8 and INT4 weights against float64 on the same quantised numbers. */
class QuantizedProductsTest {
  private static final Encoding FP8 = new Encoding.BlockFp8(128, 128);
  private static final Encoding INT4 = new Encoding.GroupInt4(32);

  static List<Backend> backends() {
    return CudaBackend.all();
  }

  /** Whether a backend rounds activations to FP8 for FP8 weights. */
  private static boolean quantises(Backend backend, Encoding encoding) {
    return encoding == FP8 && ((CudaBackend) backend).path() == KernelPath.SIMPLE;
  }

  /** The value of FP8 E4M3 bits. */
  static double fromE4m3(int bits) {
    int exponent = bits >> 3 & 15;
    int mantissa = bits & 7;
    double magnitude =
        exponent == 0 ? mantissa * 0x1p-9 : Math.scalb(1 + mantissa / 8.0, exponent - 7);
    return (bits & 0x80) == 0 ? magnitude : -magnitude;
  }

  /** The FP8 number nearest to {@code x}, ties to an even mantissa, at most 448. */
  private static double nearestE4m3(double x) {
    double best = 0;
    int bestBits = 0;
    for (int bits = 0; bits < 0x7f; bits++) {
      double value = fromE4m3(bits);
      double closer = Math.abs(Math.abs(x) - value) - Math.abs(Math.abs(x) - best);
      if (closer < 0 || (closer == 0 && (bestBits & 1) == 1)) {
        best = value;
        bestBits = bits;
      }
    }
    return Math.copySign(best, x);
  }

  /** Rows as the backend rounds them for FP8 weights: by groups of 128 columns. */
  private static double[] quantised(float[] row) {
    double[] out = new double[row.length];
    for (int first = 0; first < row.length; first += 128) {
      int end = Math.min(row.length, first + 128);
      float most = 1e-4f;
      for (int i = first; i < end; i++) {
        most = Math.max(most, Math.abs(row[i]));
      }
      float scale = most / 448f;
      for (int i = first; i < end; i++) {
        out[i] = nearestE4m3(row[i] / scale) * scale;
      }
    }
    return out;
  }

  private static double[] exact(float[] row) {
    double[] out = new double[row.length];
    for (int i = 0; i < row.length; i++) {
      out[i] = row[i];
    }
    return out;
  }

  private static void assertProduct(
      String what, double[] x, MatrixSource w, float[] actual, int row) {
    float[] weights = new float[w.columns()];
    for (int r = 0; r < w.rows(); r++) {
      w.read(r, 1, weights, 0);
      double expected = 0;
      double squares = 0;
      for (int c = 0; c < x.length; c++) {
        expected += x[c] * weights[c];
        squares += Math.pow(x[c] * weights[c], 2);
      }
      // Relative to the terms: a sum may cancel.
      double tolerance = 5e-6 * Math.max(0.1, Math.sqrt(squares));
      assertEquals(expected, actual[r], tolerance, what + ", " + row + ":" + r);
    }
  }

  private static List<MatrixSource> weights(Encoding encoding, int columns) {
    MatrixSource above = new QuantizedMatrix("above", 72, columns, encoding);
    return List.of(
        above,
        new QuantizedMatrix("one", 1, columns, encoding),
        new QuantizedMatrix("tall", 300, columns, encoding),
        // The second part's blocks begin at its own first row.
        MatrixSource.stack(
            "both", List.of(above, new QuantizedMatrix("below", 137, columns, encoding))));
  }

  @ParameterizedTest
  @MethodSource("backends")
  void productsAgreeWithFloat64(Backend backend) {
    try (Ops ops = backend.open(1)) {
      for (Encoding encoding : List.of(FP8, INT4)) {
        for (int columns : new int[] {8, 128, 296, 520}) {
          for (MatrixSource w : weights(encoding, columns)) {
            for (int n : new int[] {1, 19, 70}) {
              product(backend, ops, encoding, w, n);
            }
          }
        }
      }
    }
  }

  private static void product(Backend backend, Ops ops, Encoding encoding, MatrixSource w, int n) {
    Tensor x = Cells.operand(ops, new RandomMatrix("x", n, w.columns(), 3), Cells.upTo(n));
    Tensor out = ops.floats(n + 1, w.rows());
    Weight weight = ops.matrix(w);
    assertEquals(encoding == FP8 ? WeightForm.FP8 : WeightForm.INT4, formOf(weight));
    ops.matmul(out, x, weight, n);
    for (int row = 0; row < n; row++) {
      float[] operand = backend.row(x, row);
      double[] input = rounded(operand, quantises(backend, encoding));
      assertProduct(w.name() + " " + encoding, input, w, backend.row(out, row), row);
    }
  }

  private static WeightForm formOf(Weight weight) {
    return ((CudaWeight) weight).layout().form();
  }

  /** What kernels cannot take as it is stored becomes bf16. */
  @ParameterizedTest
  @MethodSource("backends")
  void otherFormsBecomeBf16(Backend backend) {
    try (Ops ops = backend.open(1)) {
      MatrixSource narrow = new QuantizedMatrix("narrow", 40, 64, new Encoding.BlockFp8(16, 32));
      MatrixSource plain = new RandomMatrix("plain", 40, 64, 1);
      assertEquals(WeightForm.BF16, formOf(ops.matrix(narrow)));
      MatrixSource mixed =
          MatrixSource.stack("mixed", List.of(plain, new QuantizedMatrix("q", 9, 64, FP8)));
      assertEquals(WeightForm.BF16, formOf(ops.matrix(mixed)));
    }
  }

  /** A matrix of which one number is NaN, of either sign. */
  private record Damaged(MatrixSource whole, int row, int column, int code)
      implements MatrixSource {
    @Override
    public String name() {
      return whole.name();
    }

    @Override
    public int rows() {
      return whole.rows();
    }

    @Override
    public int columns() {
      return whole.columns();
    }

    @Override
    public Encoding encoding() {
      return whole.encoding();
    }

    @Override
    public void read(int first, int count, float[] out, int offset) {
      whole.read(first, count, out, offset);
    }

    @Override
    public void copy(int first, int count, ByteBuffer target) {
      int start = target.position();
      whole.copy(first, count, target);
      if (row >= first && row < first + count) {
        target.put(start + (row - first) * columns() + column, (byte) code);
      }
    }

    @Override
    public void readScales(int r, float[] out) {
      whole.readScales(r, out);
    }
  }

  /** The mma kernels' conversion does not keep NaN, so a weight that has one is refused. */
  @ParameterizedTest
  @MethodSource("backends")
  void nanInFp8IsFoundWhereItWouldBeLost(Backend backend) {
    boolean isMma = ((CudaBackend) backend).path() == KernelPath.MMA;
    int[][] places = {{0, 0}, {36, 72}, {5, 15}, {36, 64}, {20, 3}};
    for (int i = 0; i < places.length; i++) {
      MatrixSource whole = new QuantizedMatrix("whole", 37, 73, FP8);
      int[] at = places[i];
      MatrixSource damaged = new Damaged(whole, at[0], at[1], i % 2 == 0 ? 0x7f : 0xff);
      try (Ops ops = backend.open(1)) {
        ops.matrix(new QuantizedMatrix("other", 200, 73, FP8));
        ops.finishLoading();
        ops.matrix(whole);
        ops.experts(List.of(whole, whole), List.of(whole, damaged));
        if (isMma) {
          MoontideException e = assertThrows(MoontideException.class, ops::finishLoading);
          assertEquals(
              "tensor whole: the number at [%d, %d] is NaN, expected a finite one: the checkpoint is damaged, download it again"
                  .formatted(at[0], at[1]),
              e.getMessage());
        } else {
          ops.finishLoading();
        }
      }
    }
  }

  private record Expert(MatrixSource gateUp, MatrixSource down) {}

  @ParameterizedTest
  @MethodSource("backends")
  void expertsAgreeWithFloat64(Backend backend) {
    Router router = new Router(5, 2, 1, 1, true, 1.5f);
    for (Encoding encoding : List.of(FP8, INT4)) {
      for (int n : new int[] {3, 120}) {
        int hidden = 296;
        int width = 136;
        List<Expert> experts = new ArrayList<>();
        for (int e = 0; e < 5; e++) {
          experts.add(
              new Expert(
                  MatrixSource.stack(
                      "gateUp" + e,
                      List.of(
                          new QuantizedMatrix("gate" + e, width, hidden, encoding),
                          new QuantizedMatrix("up" + e, width, hidden, encoding))),
                  new QuantizedMatrix("down" + e, hidden, width, encoding)));
        }
        routed(backend, encoding, router, experts, hidden, n);
      }
    }
  }

  private static void routed(
      Backend backend, Encoding encoding, Router router, List<Expert> list, int hidden, int n) {
    try (Ops ops = backend.open(1)) {
      RandomMatrix values = new RandomMatrix("x", n, hidden, 0.05f);
      Experts experts =
          ops.experts(
              list.stream().map(Expert::gateUp).toList(), list.stream().map(Expert::down).toList());
      Routing routing = ops.routing(n, router);
      Tensor floats = Cells.floats(ops, values, Cells.upTo(n));
      ops.route(
          routing,
          floats,
          ops.floatMatrix(new RandomMatrix("gate", 5, hidden, 1)),
          ops.vector(new RandomMatrix("bias", 1, 5, 0.1f)),
          router,
          n);
      Tensor x = Cells.operand(ops, values, Cells.upTo(n));
      ops.experts(floats, x, routing, experts, n);
      for (int t = 0; t < n; t += 7) {
        double[] expected = exact(row(values, t));
        boolean quantises = quantises(backend, encoding);
        double[] input = rounded(backend.row(x, t), quantises);
        for (int k = 0; k < router.topK(); k++) {
          Expert expert = list.get(backend.expert(routing, t, k));
          add(expected, backend.weight(routing, t, k), expert, input, quantises);
        }
        float[] actual = backend.row(floats, t);
        double error = 0;
        double norm = 0;
        for (int i = 0; i < hidden; i++) {
          error += Math.pow(actual[i] - expected[i], 2);
          norm += Math.pow(expected[i], 2);
        }
        // An activation that rounds the other way moves a whole sum.
        assertTrue(Math.sqrt(error / norm) < 4e-3, encoding + " " + Math.sqrt(error / norm));
      }
    }
  }

  private static float[] row(RandomMatrix matrix, int row) {
    float[] values = new float[matrix.columns()];
    matrix.read(row, 1, values, 0);
    return values;
  }

  private static double[] rounded(float[] row, boolean quantises) {
    return quantises ? quantised(row) : exact(row);
  }

  private static void add(
      double[] sum, double weight, Expert expert, double[] x, boolean quantises) {
    double[] gateUp = times(expert.gateUp(), x);
    float[] middle = new float[gateUp.length / 2];
    for (int i = 0; i < middle.length; i++) {
      double gate = gateUp[i];
      float product = (float) (gate / (1 + Math.exp(-gate)) * gateUp[middle.length + i]);
      middle[i] = Float.intBitsToFloat(Bf16.of(product) << 16);
    }
    double[] out = times(expert.down(), rounded(middle, quantises));
    for (int i = 0; i < sum.length; i++) {
      sum[i] += weight * out[i];
    }
  }

  private static double[] times(MatrixSource w, double[] x) {
    float[] row = new float[w.columns()];
    double[] out = new double[w.rows()];
    for (int r = 0; r < out.length; r++) {
      w.read(r, 1, row, 0);
      for (int c = 0; c < row.length; c++) {
        out[r] += row[c] * x[c];
      }
    }
    return out;
  }
}
