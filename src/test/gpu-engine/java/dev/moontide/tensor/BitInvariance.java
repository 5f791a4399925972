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
package dev.moontide.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Holds a backend to bit invariance, every operation but attention: a row's bits alone are its bits
 * among any others, in any place, on any number of threads. A test class has the static method
 * {@code backends()}.
 */
public abstract class BitInvariance {
  private static final int ROWS = 150;

  /**
   * @param prepare loads weights and returns the operation: from the inputs' rows to the results
   */
  private static void assertInvariant(
      String what, Backend backend, BiFunction<Ops, Integer, Function<int[], Tensor>> prepare) {
    int[][] alone = new int[ROWS][];
    try (Ops ops = backend.open(1)) {
      Function<int[], Tensor> operation = prepare.apply(ops, 1);
      for (int row = 0; row < ROWS; row++) {
        alone[row] = Cells.bits(operation.apply(new int[] {row}), 0);
      }
    }
    SplittableRandom random = new SplittableRandom(11);
    for (int threads = 1; threads <= 3; threads++) {
      try (Ops ops = backend.open(threads)) {
        Function<int[], Tensor> operation = prepare.apply(ops, threads);
        for (int round = 0; round < 12; round++) {
          int[] shuffled = AttentionScene.shuffled(ROWS, random);
          int[] rows = Arrays.copyOf(shuffled, round == 0 ? ROWS : 1 + random.nextInt(ROWS));
          Tensor out = operation.apply(rows);
          for (int i = 0; i < rows.length; i++) {
            Cells.assertBits(backend + " " + what, alone[rows[i]], out, i);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void matrixProducts(Backend backend) {
    for (int[] shape : new int[][] {{37, 33}, {576, 130}, {1030, 512}, {70, 2051}}) {
      MatrixSource x = new RandomMatrix("x", ROWS, shape[1], 1);
      assertInvariant(
          "matmulAdd " + Arrays.toString(shape),
          backend,
          (ops, threads) -> {
            Weight w = ops.matrix(new RandomMatrix("w", shape[0], shape[1], 1));
            return rows -> {
              Tensor out = Cells.floats(ops, new RandomMatrix("residual", ROWS, shape[0], 1), rows);
              ops.matmulAdd(out, Cells.operand(ops, x, rows), w, rows.length);
              return out;
            };
          });
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void rowOperations(Backend backend) {
    MatrixSource x = new RandomMatrix("x", ROWS, 602, 5);
    assertInvariant(
        "rmsNorm and swiglu",
        backend,
        (ops, threads) -> {
          Weight gain = ops.vector(new RandomMatrix("gain", 1, 602, 1));
          return rows -> {
            Tensor normed = ops.floats(rows.length, 602);
            ops.rmsNorm(normed, Cells.floats(ops, x, rows), 0, gain, 1e-6f, rows.length);
            Tensor out = ops.operand(rows.length, 301);
            ops.swiglu(out, normed, rows.length);
            return out;
          };
        });
  }

  @ParameterizedTest
  @MethodSource("backends")
  void routedExperts(Backend backend) {
    int hidden = 130;
    Router router = new Router(12, 3, 4, 2, true, 2f);
    MatrixSource x = new RandomMatrix("x", ROWS, hidden, 1);
    List<MatrixSource> gateUp = new ArrayList<>();
    List<MatrixSource> down = new ArrayList<>();
    for (int e = 0; e < router.experts(); e++) {
      gateUp.add(new RandomMatrix("gateUp" + e, 200, hidden, 1));
      down.add(new RandomMatrix("down" + e, hidden, 100, 1));
    }
    assertInvariant(
        "route and experts",
        backend,
        (ops, threads) -> {
          Experts experts = ops.experts(gateUp, down);
          Weight gate = ops.floatMatrix(new RandomMatrix("gate", router.experts(), hidden, 1));
          Weight bias = ops.vector(new RandomMatrix("bias", 1, router.experts(), 0.2f));
          return rows -> {
            Routing routing = ops.routing(rows.length, router);
            Tensor floats = Cells.floats(ops, x, rows);
            ops.route(routing, floats, gate, bias, router, rows.length);
            Tensor operand = Cells.operand(ops, x, rows);
            ops.experts(floats, operand, routing, experts, rows.length);
            return floats;
          };
        });
  }

  /** Log probabilities as pairs of floats, so that all bits of a double are compared. */
  @ParameterizedTest
  @MethodSource("backends")
  void logProbabilities(Backend backend) {
    int width = 1501;
    MatrixSource values = new RandomMatrix("logits", ROWS, width, 20);
    assertInvariant(
        "logProbabilities",
        backend,
        (ops, threads) ->
            rows -> {
              LogitQueries queries = new LogitQueries();
              for (int i = 0; i < rows.length; i++) {
                queries.logProbability(i, 0);
              }
              ops.answer(queries, Cells.logits(ops, values, rows));
              Tensor out = ops.floats(rows.length, 2);
              for (int i = 0; i < rows.length; i++) {
                long bits = Double.doubleToRawLongBits(queries.logProbabilities()[i]);
                Cells.set(out, i, 0, (int) (bits >>> 40));
                Cells.set(out, i, 1, (int) (bits >>> 16 & 0xFFFFFF));
              }
              return out;
            });
  }
}
