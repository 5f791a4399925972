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

import static dev.moontide.tensor.Cells.assertClose;
import static dev.moontide.tensor.Cells.upTo;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.SamplingParameters;
import dev.moontide.sampling.Sampler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Holds a backend to float64: every operation but attention, on awkward shapes; rows beyond n hold
 * NaN. A test class has the static method {@code backends()}.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class OpsAgreement {
  private final Map<Backend, Ops> open = new HashMap<>();
  private static final int[] SIZES = {1, 3, 17, 33, 130};
  private static final int DRAWN_ROWS = 150;

  private Ops ops(Backend backend) {
    return open.computeIfAbsent(backend, b -> b.open(2));
  }

  @AfterAll
  void close() {
    open.values().forEach(Ops::close);
  }

  /** Runs {@code operation} on both and compares the first {@code n} rows of what it returns. */
  private void compare(
      String what, Backend backend, int n, double tolerance, Function<Ops, Tensor> operation) {
    Ops ops = ops(backend);
    Tensor expected = operation.apply(Cells.reference(backend));
    assertClose(backend + " " + what, expected, operation.apply(ops), n, tolerance);
  }

  /** What rounding an operand may move it by, relative to its row's norm. */
  private static double operandTolerance(Backend backend) {
    return backend.operand() == DType.BF16 ? 2e-2 : 1e-5;
  }

  @ParameterizedTest
  @MethodSource("backends")
  void matrixProducts(Backend backend) {
    for (int inputs : SIZES) {
      for (int outputs : SIZES) {
        for (int n : new int[] {1, 7, 67}) {
          MatrixSource x = new RandomMatrix("x", n, inputs, 1);
          MatrixSource w = new RandomMatrix("w", outputs, inputs, 1);
          String shape = "%d x %d, %d rows".formatted(outputs, inputs, n);
          compare(
              "matmul " + shape,
              backend,
              n,
              1e-5,
              ops -> {
                Tensor out = ops.floats(n + 2, outputs);
                ops.matmul(out, Cells.operand(ops, x, upTo(n)), ops.matrix(w), n);
                return out;
              });
          compare(
              "matmulAdd " + shape,
              backend,
              n,
              1e-5,
              ops -> {
                MatrixSource residual = new RandomMatrix("residual", n, outputs, 3);
                Tensor out = Cells.floats(ops, residual, upTo(n));
                ops.matmulAdd(out, Cells.operand(ops, x, upTo(n)), ops.matrix(w), n);
                return out;
              });
        }
      }
    }
  }

  /** Sums too long for one call of a library that takes them in slices, by every odd remainder. */
  @ParameterizedTest
  @MethodSource("backends")
  void productsOverManyInputs(Backend backend) {
    int n = 5;
    for (int inputs : new int[] {512, 513, 1040, 2048, 7168}) {
      for (int outputs : new int[] {8, 24, 97}) {
        MatrixSource x = new RandomMatrix("x", n, inputs, 1);
        MatrixSource w = new RandomMatrix("w", outputs, inputs, 1);
        compare(
            "%d x %d".formatted(outputs, inputs),
            backend,
            n,
            1e-4,
            ops -> {
              Tensor out = ops.floats(n, outputs);
              ops.matmul(out, Cells.operand(ops, x, upTo(n)), ops.matrix(w), n);
              return out;
            });
      }
    }
  }

  /** Several panels, the last of them narrower, and several blocks of rows. */
  @ParameterizedTest
  @MethodSource("backends")
  void productsOfManyPanels(Backend backend) {
    int n = 150;
    MatrixSource x = new RandomMatrix("x", n, 300, 1);
    MatrixSource w = new RandomMatrix("w", 1100, 300, 1);
    compare(
        "1100 x 300",
        backend,
        n,
        1e-5,
        ops -> {
          Tensor out = ops.floats(n, 1100);
          ops.matmul(out, Cells.operand(ops, x, upTo(n)), ops.matrix(w), n);
          return out;
        });
  }

  @ParameterizedTest
  @MethodSource("backends")
  void embeddings(Backend backend) {
    Step step = new Step(8, 2);
    step.beginSequence(new int[0]);
    for (int id : new int[] {5, 0, 16, 5}) {
      step.addToken(id, 0);
    }
    MatrixSource table = new RandomMatrix("table", 17, 33, 1);
    compare(
        "embed",
        backend,
        4,
        0,
        ops -> {
          Tensor x = ops.floats(8, 33);
          ops.embed(x, ops.table(table), step);
          return x;
        });
  }

  @ParameterizedTest
  @MethodSource("backends")
  void norms(Backend backend) {
    for (int width : SIZES) {
      MatrixSource x = new RandomMatrix("x", 5, width + 7, 4);
      MatrixSource gain = new RandomMatrix("gain", 1, width, 2);
      compare(
          "rmsNorm of floats, " + width,
          backend,
          5,
          1e-5,
          ops -> {
            Tensor out = ops.floats(5, width);
            ops.rmsNorm(out, Cells.floats(ops, x, upTo(5)), 3, ops.vector(gain), 1e-5f, 5);
            return out;
          });
      compare(
          "rmsNorm of operands, " + width,
          backend,
          5,
          operandTolerance(backend),
          ops -> {
            Tensor out = ops.operand(5, width);
            ops.rmsNorm(out, Cells.floats(ops, x, upTo(5)), 3, ops.vector(gain), 1e-5f, 5);
            return out;
          });
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void gatedActivations(Backend backend) {
    for (int width : SIZES) {
      MatrixSource x = new RandomMatrix("x", 9, 2 * width, 12);
      compare(
          "swiglu of " + width,
          backend,
          9,
          operandTolerance(backend),
          ops -> {
            Tensor out = ops.operand(9, width);
            ops.swiglu(out, Cells.floats(ops, x, upTo(9)), 9);
            return out;
          });
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void routing(Backend backend) {
    for (Router router :
        List.of(
            new Router(1, 1, 1, 1, true, 1f),
            new Router(33, 8, 1, 1, true, 2.827f),
            new Router(33, 3, 11, 4, false, 1f),
            new Router(12, 4, 12, 5, true, 1f),
            new Router(130, 8, 5, 2, true, 2.5f))) {
      MatrixSource x = new RandomMatrix("x", 70, 33, 2);
      MatrixSource gate = new RandomMatrix("gate", router.experts(), 33, 1);
      MatrixSource bias = new RandomMatrix("bias", 1, router.experts(), 0.3f);
      Function<Ops, Routing> route =
          ops -> {
            Routing routing = ops.routing(72, router);
            ops.route(
                routing,
                Cells.floats(ops, x, upTo(70)),
                ops.floatMatrix(gate),
                ops.vector(bias),
                router,
                70);
            return routing;
          };
      Routing expected = route.apply(new ReferenceOps(DType.F32, DType.F32));
      Routing actual = route.apply(ops(backend));
      for (int t = 0; t < 70; t++) {
        for (int k = 0; k < router.topK(); k++) {
          String place = router + ", token " + t;
          assertEquals(Cells.expert(expected, t, k), Cells.expert(actual, t, k), place);
          assertEquals(Cells.weight(expected, t, k), Cells.weight(actual, t, k), 1e-5, place);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void equalScoresGoToTheLowerExpert(Backend backend) {
    Router router = new Router(16, 4, 4, 2, true, 1f);
    Ops ops = ops(backend);
    MatrixSource zeros = new RandomMatrix("zeros", 16, 8, 0);
    Routing routing = ops.routing(1, router);
    ops.route(
        routing,
        Cells.floats(ops, new RandomMatrix("x", 1, 8, 1), 0),
        ops.floatMatrix(zeros),
        ops.vector(new RandomMatrix("zeros", 1, 16, 0)),
        router,
        1);
    for (int k = 0; k < 4; k++) {
      assertEquals(k, Cells.expert(routing, 0, k));
      assertEquals(0.25, Cells.weight(routing, 0, k), 1e-7);
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void notANumberStillChoosesExperts(Backend backend) {
    Router router = new Router(16, 4, 4, 2, true, 1f);
    Ops ops = ops(backend);
    Routing routing = ops.routing(1, router);
    Tensor x = ops.floats(1, 8);
    for (int c = 0; c < 8; c++) {
      Cells.set(x, 0, c, Float.NaN);
    }
    ops.route(
        routing,
        x,
        ops.floatMatrix(new RandomMatrix("gate", 16, 8, 1)),
        ops.vector(new RandomMatrix("bias", 1, 16, 1)),
        router,
        1);
    int[] chosen = new int[4];
    Arrays.setAll(chosen, k -> Cells.expert(routing, 0, k));
    assertArrayEquals(new int[] {0, 1, 2, 3}, chosen);
    assertTrue(Double.isNaN(Cells.weight(routing, 0, 0)));
  }

  private record ExpertShape(int experts, int topK, int hidden, int intermediate, int n) {}

  @ParameterizedTest
  @MethodSource("backends")
  void routedExperts(Backend backend) {
    for (ExpertShape shape :
        List.of(
            new ExpertShape(1, 1, 3, 1, 1),
            new ExpertShape(3, 2, 33, 17, 9),
            new ExpertShape(5, 3, 17, 130, 301),
            new ExpertShape(33, 8, 130, 33, 70))) {
      Router router = new Router(shape.experts(), shape.topK(), 1, 1, true, 1.5f);
      List<MatrixSource> gateUp = new ArrayList<>();
      List<MatrixSource> down = new ArrayList<>();
      for (int e = 0; e < shape.experts(); e++) {
        gateUp.add(new RandomMatrix("gateUp" + e, 2 * shape.intermediate(), shape.hidden(), 1));
        down.add(new RandomMatrix("down" + e, shape.hidden(), shape.intermediate(), 1));
      }
      int n = shape.n();
      MatrixSource x = new RandomMatrix("x", n, shape.hidden(), 1);
      compare(
          shape.toString(),
          backend,
          n,
          // The activation is rounded to bf16: a tie that falls the other way moves the sum.
          backend.operand() == DType.BF16 ? 5e-3 : 1e-5,
          ops -> {
            Experts experts = ops.experts(gateUp, down);
            Routing routing = ops.routing(n, router);
            Weight gate =
                ops.floatMatrix(new RandomMatrix("g", shape.experts(), shape.hidden(), 1));
            Weight bias = ops.vector(new RandomMatrix("b", 1, shape.experts(), 0.1f));
            ops.route(routing, Cells.floats(ops, x, upTo(n)), gate, bias, router, n);
            Tensor out = Cells.floats(ops, x, upTo(n));
            ops.experts(out, Cells.operand(ops, x, upTo(n)), routing, experts, n);
            return out;
          });
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void logits(Backend backend) {
    Ops ops = ops(backend);
    ReferenceOps reference = Cells.reference(backend);
    for (int width : new int[] {1, 33, 130, 3001}) {
      MatrixSource values = new RandomMatrix("logits", 40, width, 30);
      int[] rows = {0, 0, 1, 7, 7, 7, 39};
      int[] tokens = new int[rows.length];
      Arrays.setAll(tokens, i -> (i * 37) % width);
      LogitQueries expected = queries(rows, tokens);
      LogitQueries actual = queries(rows, tokens);
      reference.answer(expected, Cells.floats(reference, values, upTo(40)));
      Tensor x = Cells.logits(ops, values, upTo(40));
      ops.answer(actual, x);
      for (int i = 0; i < rows.length; i++) {
        assertEquals(expected.logProbabilities()[i], actual.logProbabilities()[i], 1e-6);
      }
      for (int i = 0; i < 40; i++) {
        assertTrue(actual.draw(i).isAnswered());
        assertEquals(expected.draw(i).token(), actual.draw(i).token());
      }
      float[] row = new float[width + 1];
      ops.read(x, 39, row, 1);
      assertEquals(((RandomMatrix) values).at(39, width - 1), row[width]);
    }
  }

  /** The most probable token of each of 40 rows, and log-probabilities. */
  private static LogitQueries queries(int[] rows, int[] tokens) {
    LogitQueries queries = new LogitQueries();
    for (int row = 0; row < 40; row++) {
      queries.draw(row, SamplingParameters.greedy(1), 0, 0, 0);
    }
    for (int i = 0; i < rows.length; i++) {
      queries.logProbability(rows[i], tokens[i]);
    }
    return queries;
  }

  /**
   * What is drawn, over random rows and every combination of parameters, is what the sampler draws;
   * rows that cannot be drawn from are found by both.
   */
  @ParameterizedTest
  @MethodSource("backends")
  void draws(Backend backend) {
    Ops ops = ops(backend);
    for (int width : new int[] {1, 2, 31, 33, 1500, 6007}) {
      RandomDraws draws = new RandomDraws(width, DRAWN_ROWS);
      Tensor x = ops.logits(DRAWN_ROWS, width);
      for (int row = 0; row < DRAWN_ROWS; row++) {
        int from = row * width;
        Cells.setRow(x, row, Arrays.copyOfRange(draws.logits(), from, from + width));
      }
      LogitQueries actual = draws.queries();
      ops.answer(actual, x);
      LogitQueries expected = draws.queries();
      Sampler sampler = new Sampler(width);
      for (int i = 0; i < expected.draws(); i++) {
        LogitQueries.Draw draw = expected.draw(i);
        sampler.draw(expected, i, draws.logits(), draw.row() * width);
        String what = "%d logits, draw %d, %s".formatted(width, i, draw.parameters());
        assertEquals(draw.isAnswered(), actual.draw(i).isAnswered(), what);
        if (draw.isAnswered()) {
          assertEquals(draw.token(), actual.draw(i).token(), what);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void gathersLogitRows(Backend backend) {
    Step step = new Step(8, 1);
    step.beginSequence(new int[0]);
    for (int t = 0; t < 6; t++) {
      step.addToken(0, t);
      if (t % 2 == 1) {
        step.requestLogits();
      }
    }
    MatrixSource x = new RandomMatrix("x", 6, 33, 1);
    compare(
        "gather",
        backend,
        2,
        0,
        ops -> {
          Tensor out = ops.floats(3, 33);
          ops.gatherLogitRows(out, Cells.floats(ops, x, upTo(6)), step, 1, 2);
          return out;
        });
  }
}
