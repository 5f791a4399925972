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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Attention against float64, and a token's bits against its own alone: over cuts into steps, block
 * tables, neighbours and threads. Every cache block begins as NaN. A test class has the static
 * method {@code backends()}.
 */
public abstract class AttentionAgreement {
  private static final Attention SMALL = new Attention(3, 17, 6, 5, 33, 0.2f, 1e-5f);

  private static double tolerance(Backend backend) {
    if (backend.operand() == DType.BF16) {
      return 4e-2;
    }
    // Where only what goes into the cache is rounded, a tie may fall the other way.
    return backend.dtype() == DType.BF16 ? 2e-3 : 2e-5;
  }

  private record Shape(Attention attention, int blockSize) {}

  private static List<Shape> shapes() {
    return List.of(
        new Shape(new Attention(1, 3, 2, 1, 1, 0.5f, 1e-6f), 1),
        new Shape(SMALL, 4),
        new Shape(SMALL, 20),
        new Shape(new Attention(8, 130, 64, 33, 130, 0.07f, 1e-6f), 16),
        new Shape(new Attention(8, 16, 8, 16, 64, 0.2f, 1e-6f), 64),
        new Shape(new Attention(70, 8, 4, 3, 48, 0.3f, 1e-6f), 32),
        new Shape(new Attention(1, 128, 64, 128, 512, 0.01f, 1e-6f), 16),
        new Shape(new Attention(1, 8, 6, 3, 520, 0.2f, 1e-6f), 48));
  }

  /** A prompt in one step, then two sequences in one step, the first of them going on. */
  @ParameterizedTest
  @MethodSource("backends")
  void agreesWithFloat64(Backend backend) {
    for (Shape shape : shapes()) {
      int size = shape.blockSize();
      int blocks = (133 + size - 1) / size + 1;
      int[] long1 = Arrays.copyOf(Cells.upTo(blocks), blocks - 1);
      int[] short2 = {blocks - 1};
      Step first = new Step(140, 2);
      first.beginSequence(long1);
      for (int p = 0; p < 130; p++) {
        first.addToken(p, p);
      }
      Step second = new Step(140, 2);
      second.beginSequence(long1);
      for (int p = 130; p < 133; p++) {
        second.addToken(p, p);
      }
      second.beginSequence(short2);
      second.addToken(1000, 0);
      try (Ops ops = backend.open(2)) {
        AttentionScene actual = new AttentionScene(ops, shape.attention(), blocks, size);
        actual.poison();
        ReferenceOps reference = Cells.reference(backend);
        AttentionScene expected = new AttentionScene(reference, shape.attention(), blocks, size);
        for (Step step : List.of(first, second)) {
          Cells.assertClose(
              backend + " " + shape,
              expected.run(step),
              actual.run(step),
              step.tokens(),
              tolerance(backend));
        }
      }
    }
  }

  /** Rows long enough that a backend may sum them in pieces. */
  @ParameterizedTest
  @MethodSource("backends")
  void longRowsAgreeWithFloat64(Backend backend) {
    int length = 1060;
    int size = 64;
    int[] table = Cells.upTo((length + size - 1) / size);
    Attention attention = new Attention(18, 8, 64, 8, 512, 0.1f, 1e-6f);
    try (Ops ops = backend.open(2)) {
      AttentionScene actual = new AttentionScene(ops, attention, table.length, size);
      actual.poison();
      ReferenceOps reference = Cells.reference(backend);
      AttentionScene expected = new AttentionScene(reference, attention, table.length, size);
      for (int first = 0; first < length; first += 212) {
        Step filling = new Step(212, 1);
        filling.beginSequence(table);
        for (int p = first; p < first + 212; p++) {
          filling.addToken(p, p);
        }
        actual.append(filling);
        expected.append(filling);
      }
      Step step = new Step(4, 1);
      step.beginSequence(table);
      for (int position : new int[] {511, 512, 1024, length - 1}) {
        step.addToken(position, position);
      }
      Cells.assertClose(
          backend + " long rows", expected.run(step), actual.run(step), 4, tolerance(backend));
    }
  }

  /** The bits of {@code count} tokens of a sequence, ids from {@code id}, computed one by one. */
  private static int[][] alone(Backend backend, Shape shape, int id, int count) {
    int blocks = (count + shape.blockSize() - 1) / shape.blockSize();
    try (Ops ops = backend.open(1)) {
      AttentionScene scene = new AttentionScene(ops, shape.attention(), blocks, shape.blockSize());
      int[][] bits = new int[count][];
      Step step = new Step(1, 1);
      for (int p = 0; p < count; p++) {
        step.clear();
        step.beginSequence(Cells.upTo(blocks));
        step.addToken(id + p, p);
        bits[p] = Cells.bits(scene.run(step), 0);
      }
      return bits;
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void bitsDependOnTheTokensOwnSequenceAlone(Backend backend) {
    int sequences = 3;
    int length = 70;
    for (Shape shape :
        List.of(
            new Shape(SMALL, 4),
            new Shape(SMALL, 20),
            new Shape(new Attention(2, 8, 64, 8, 512, 0.1f, 1e-6f), 16),
            new Shape(shapes().get(3).attention(), 16))) {
      int[][][] expected = new int[sequences][][];
      for (int s = 0; s < sequences; s++) {
        expected[s] = alone(backend, shape, 1000 * s, length);
      }
      SplittableRandom random = new SplittableRandom(7);
      int rounds = shape.attention().latentDim() < 512 ? 9 : 3;
      for (int round = 0; round < rounds; round++) {
        replay(backend, shape, expected, round % 3 + 1, random.split());
      }
    }
  }

  /** Computes all sequences in random cuts, together, in shuffled blocks. */
  private static void replay(
      Backend backend, Shape shape, int[][][] expected, int threads, SplittableRandom random) {
    int length = expected[0].length;
    int blocksEach = (length + shape.blockSize() - 1) / shape.blockSize();
    int blocks = blocksEach * expected.length;
    int[] shuffled = AttentionScene.shuffled(blocks, random);
    int[] done = new int[expected.length];
    try (Ops ops = backend.open(threads)) {
      AttentionScene scene = new AttentionScene(ops, shape.attention(), blocks, shape.blockSize());
      scene.poison();
      Step step = new Step(expected.length * length, expected.length);
      while (Arrays.stream(done).anyMatch(d -> d < length)) {
        step.clear();
        int[] from = done.clone();
        for (int s = 0; s < expected.length; s++) {
          step.beginSequence(Arrays.copyOfRange(shuffled, s * blocksEach, (s + 1) * blocksEach));
          int most = random.nextInt(3) == 0 ? length : 3;
          int count = Math.min(length - done[s], random.nextInt(most + 1));
          for (int i = 0; i < count; i++, done[s]++) {
            step.addToken(1000 * s + done[s], done[s]);
          }
        }
        if (step.tokens() > 0) {
          check(scene.run(step), expected, from, done, backend + " " + shape);
        }
      }
    }
  }

  private static void check(Tensor out, int[][][] expected, int[] from, int[] end, String what) {
    int row = 0;
    for (int s = 0; s < expected.length; s++) {
      for (int p = from[s]; p < end[s]; p++, row++) {
        Cells.assertBits(what + ", sequence " + s, expected[s][p], out, row);
      }
    }
  }

  // ---- label tries ---------------------------------------------------------------------------

  private static final int PROMPT = 37;

  /** A prompt, then trie nodes: parents by index, −1 for the root's children. */
  private static Tensor trie(AttentionScene scene, int[] table, int[] ids, int[] parents) {
    Step step = new Step(PROMPT + ids.length, 1);
    step.beginSequence(table);
    for (int p = 0; p < PROMPT; p++) {
      step.addToken(p, p);
    }
    int[] path = new int[ids.length];
    for (int node = 0; node < ids.length; node++) {
      int depth = 0;
      for (int up = parents[node]; up >= 0; up = parents[up]) {
        depth++;
      }
      int at = depth;
      for (int up = parents[node]; up >= 0; up = parents[up]) {
        path[--at] = PROMPT + up;
      }
      step.addTreeToken(ids[node], PROMPT + depth, PROMPT + node, PROMPT, path, depth);
    }
    return scene.run(step);
  }

  @ParameterizedTest
  @MethodSource("backends")
  void trieTokensAgreeWithTheirPathAsASequence(Backend backend) {
    // A path longer than a block, so that ancestors take several tiles.
    int[] ids = {500, 501, 502, 503, 504, 505, 506};
    int[] chain = {-1, 0, 1, 2, 3, 4, 5};
    try (Ops ops = backend.open(2)) {
      AttentionScene scene = new AttentionScene(ops, SMALL, 12, 4);
      scene.poison();
      Tensor out = trie(scene, Cells.upTo(12), ids, chain);
      Step ordinary = new Step(64, 1);
      ordinary.beginSequence(Cells.upTo(12));
      for (int p = 0; p < PROMPT; p++) {
        ordinary.addToken(p, p);
      }
      for (int i = 0; i < ids.length; i++) {
        ordinary.addToken(ids[i], PROMPT + i);
      }
      Tensor expected = scene.run(ordinary);
      Cells.assertClose(
          "trie",
          expected,
          out,
          PROMPT + ids.length,
          backend.operand() == DType.BF16 ? 2e-2 : 1e-5);
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void trieAgreesWithFloat64(Backend backend) {
    int[] ids = {500, 501, 502, 503, 504, 505, 506};
    int[] parents = {-1, -1, 0, 0, 1, 3, 3};
    try (Ops ops = backend.open(2)) {
      AttentionScene actual = new AttentionScene(ops, SMALL, 12, 4);
      actual.poison();
      AttentionScene expected = new AttentionScene(Cells.reference(backend), SMALL, 12, 4);
      Cells.assertClose(
          "trie",
          trie(expected, Cells.upTo(12), ids, parents),
          trie(actual, Cells.upTo(12), ids, parents),
          PROMPT + ids.length,
          tolerance(backend));
    }
  }

  /** The same path among different siblings, elsewhere in the cache, on other threads. */
  @ParameterizedTest
  @MethodSource("backends")
  void trieTokensDoNotSeeTheirSiblings(Backend backend) {
    int[] alone = {500, 501, 502};
    int[] chain = {-1, 0, 1};
    int[] ids = {900, 901, 500, 902, 501, 903, 904, 502};
    int[] parents = {-1, 0, -1, 2, 2, 4, 2, 4};
    int[][] bits = new int[3][];
    try (Ops ops = backend.open(1)) {
      AttentionScene scene = new AttentionScene(ops, SMALL, 12, 4);
      Tensor out = trie(scene, Cells.upTo(12), alone, chain);
      for (int i = 0; i < 3; i++) {
        bits[i] = Cells.bits(out, PROMPT + i);
      }
    }
    try (Ops ops = backend.open(3)) {
      AttentionScene scene = new AttentionScene(ops, SMALL, 12, 4);
      scene.poison();
      int[] table = AttentionScene.shuffled(12, new SplittableRandom(1));
      Tensor out = trie(scene, table, ids, parents);
      Cells.assertBits("first", bits[0], out, PROMPT + 2);
      Cells.assertBits("second", bits[1], out, PROMPT + 4);
      Cells.assertBits("third", bits[2], out, PROMPT + 7);
    }
  }

  /** A row that is not a number spoils what attends to it and nothing else. */
  @ParameterizedTest
  @MethodSource("backends")
  void aBrokenRowSpoilsItsOwnSequenceAlone(Backend backend) {
    int[][] expected = alone(backend, new Shape(SMALL, 4), 0, 9);
    try (Ops ops = backend.open(2)) {
      AttentionScene scene = new AttentionScene(ops, SMALL, 3, 4);
      scene.poison();
      Step broken = new Step(1, 1);
      broken.beginSequence(new int[] {1});
      broken.addTreeToken(7, 0, 0, 3, new int[0], 0);
      assertTrue(Double.isNaN(Cells.get(scene.run(broken), 0, 0)), "it reads poisoned entries");
      Step step = new Step(9, 1);
      step.beginSequence(new int[] {1, 0, 2});
      for (int p = 0; p < 9; p++) {
        step.addToken(p, p);
      }
      Tensor out = scene.run(step);
      for (int p = 0; p < 9; p++) {
        assertArrayEquals(expected[p], Cells.bits(out, p), "token " + p);
      }
    }
  }
}
