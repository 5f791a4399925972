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

import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Recorded steps: one graph for each number of rows out of a few and each variant of their shape. A
 * step takes the next larger graph, whose rows beyond its tokens compute what nobody reads; their
 * bits do not reach others. Submitting a graph takes the host microseconds where its kernels one by
 * one take it milliseconds.
 */
final class StepGraphs implements Owned.Resource {
  /** Rows of graphs; larger steps keep the device busy while the host submits them one by one. */
  private static final int[] ROWS = {
    1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 96, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024
  };

  /** Variants of a shape. */
  static final int VARIANTS = 10;

  /** What of a step decides which launches its equations make. */
  interface Shapes {
    /**
     * Which variant {@code step}, which is on the device, is with {@code rows}, at least its
     * tokens: below {@link #VARIANTS}; empty if its launches are its own.
     */
    OptionalInt variant(Step step, int rows);

    /** Changes when anything a recorded launch points to has moved. */
    long generation();
  }

  private final Execution run;
  private final Shapes shapes;
  private final @Nullable CudaGraph[][] graphs = new CudaGraph[ROWS.length][VARIANTS];

  /** Whether a shape was run once, one by one: what it needs is loaded and allocated by then. */
  private final boolean[][] ready = new boolean[ROWS.length][VARIANTS];

  private long generation;

  StepGraphs(Execution run, Shapes shapes) {
    this.run = run;
    this.shapes = shapes;
  }

  /** Runs {@code equations} for {@code step}, which is on the device. */
  void run(Step step, IntConsumer equations) {
    int size = sizeOf(step.tokens());
    if (size == ROWS.length || ROWS[size] > step.maxTokens()) {
      equations.accept(step.tokens());
      return;
    }
    OptionalInt known = shapes.variant(step, ROWS[size]);
    if (known.isEmpty()) {
      equations.accept(step.tokens());
      return;
    }
    int variant = known.getAsInt();
    if (generation != shapes.generation()) {
      close();
      generation = shapes.generation();
    }
    run.fix(ROWS[size], variant);
    try {
      if (!ready[size][variant]) {
        equations.accept(ROWS[size]);
        ready[size][variant] = true;
      } else {
        replay(size, variant, equations);
      }
    } finally {
      run.release();
    }
  }

  private void replay(int size, int variant, IntConsumer equations) {
    CudaGraph graph = graphs[size][variant];
    if (graph == null) {
      graph = record(size, variant, equations);
      graphs[size][variant] = graph;
    }
    graph.launch(run.stream);
  }

  private CudaGraph record(int size, int variant, IntConsumer equations) {
    String description = "a step of %d rows, variant %d".formatted(ROWS[size], variant);
    run.stream.beginCapture();
    try {
      equations.accept(ROWS[size]);
    } catch (RuntimeException | Error e) {
      run.stream.endCapture(description).close();
      throw e;
    }
    return run.stream.endCapture(description);
  }

  /** Place in {@link #ROWS} of the least that holds {@code tokens}; its length if none does. */
  private static int sizeOf(int tokens) {
    int at = Arrays.binarySearch(ROWS, tokens);
    return at >= 0 ? at : -at - 1;
  }

  @Override
  public void close() {
    for (int i = 0; i < ROWS.length; i++) {
      Arrays.fill(ready[i], false);
      for (int j = 0; j < VARIANTS; j++) {
        CudaGraph graph = graphs[i][j];
        if (graph != null) {
          graph.close();
          graphs[i][j] = null;
        }
      }
    }
  }
}
