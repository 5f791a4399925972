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
import java.util.Locale;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * The operations as plain loops in float64: the oracle every backend is held to. With {@link
 * DType#BF16} what a backend stores in bf16 (operands, weights, the cache) is rounded to bf16, so
 * that a backend may be compared at the precision of its sums.
 */
public final class ReferenceOps implements Ops {
  private final DType dtype;
  private final DType operand;

  /**
   * @param dtype of weights and the cache
   * @param operand of operands
   */
  public ReferenceOps(DType dtype, DType operand) {
    this.dtype = dtype;
    this.operand = operand;
  }

  /** A matrix of doubles. */
  public static final class Values implements Tensor {
    private final int capacity;
    private final int columns;
    private final boolean isOperand;
    private final double[] data;

    Values(int capacity, int columns, boolean isOperand) {
      this.capacity = capacity;
      this.columns = columns;
      this.isOperand = isOperand;
      this.data = poisoned(capacity * columns);
    }

    @Override
    public int capacity() {
      return capacity;
    }

    @Override
    public int columns() {
      return columns;
    }

    /** The element at {@code row} and {@code column}. */
    public double get(int row, int column) {
      return data[row * columns + column];
    }

    /** Sets the element at {@code row} and {@code column}. */
    public void set(int row, int column, double value) {
      data[row * columns + column] = value;
    }
  }

  private static final class Matrix implements Weight {
    private final int rows;
    private final int columns;
    private final double[] data;

    Matrix(int rows, int columns, double[] data) {
      this.rows = rows;
      this.columns = columns;
      this.data = data;
    }

    @Override
    public int rows() {
      return rows;
    }

    @Override
    public int columns() {
      return columns;
    }

    @Override
    public long bytes() {
      return 8L * data.length;
    }

    double get(int row, int column) {
      return data[row * columns + column];
    }
  }

  /** Chosen experts by token, ascending, and their weights. */
  public static final class Choices implements Routing {
    private final int topK;
    private final int[] experts;
    private final double[] weights;

    Choices(int capacity, int topK) {
      this.topK = topK;
      experts = new int[capacity * topK];
      weights = poisoned(capacity * topK);
    }

    @Override
    public int capacity() {
      return experts.length / topK;
    }

    @Override
    public int topK() {
      return topK;
    }

    /** The {@code k}-th expert of token {@code t}. */
    public int expert(int t, int k) {
      return experts[t * topK + k];
    }

    /** Its weight. */
    public double weight(int t, int k) {
      return weights[t * topK + k];
    }
  }

  private record ExpertList(List<Matrix> gateUp, List<Matrix> down) implements Experts {
    @Override
    public int count() {
      return down.size();
    }

    @Override
    public int intermediate() {
      return down.get(0).columns();
    }

    @Override
    public long bytes() {
      return gateUp.stream().mapToLong(Matrix::bytes).sum()
          + down.stream().mapToLong(Matrix::bytes).sum();
    }
  }

  private static final class Cache implements KvCache {
    private final int blocks;
    private final int blockSize;
    private final int columns;
    private final double[][] layers;

    Cache(int layers, int blocks, int blockSize, int columns) {
      this.blocks = blocks;
      this.blockSize = blockSize;
      this.columns = columns;
      this.layers = new double[layers][];
      Arrays.setAll(this.layers, l -> poisoned(blocks * blockSize * columns));
    }

    @Override
    public int blocks() {
      return blocks;
    }

    @Override
    public int blockSize() {
      return blockSize;
    }

    /** Copies {@code tokens} entries; what the rest of the target holds is poison. */
    void copy(int source, int target, int tokens) {
      int size = blockSize * columns;
      for (double[] layer : layers) {
        Arrays.fill(layer, target * size, (target + 1) * size, Double.NaN);
        System.arraycopy(layer, source * size, layer, target * size, tokens * columns);
      }
    }

    int at(int[] table, int index) {
      return (table[index / blockSize] * blockSize + index % blockSize) * columns;
    }
  }

  private static double round(double value, DType type) {
    return type == DType.F32 ? value : bf16((float) value);
  }

  /** {@code value} rounded to bf16, to nearest, ties to even. */
  public static float bf16(float value) {
    if (Float.isNaN(value)) {
      return value;
    }
    int bits = Float.floatToRawIntBits(value);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  }

  @Override
  public String description() {
    return "float64 reference, " + dtype.name().toLowerCase(Locale.ROOT);
  }

  @Override
  public DType dtype() {
    return dtype;
  }

  private Matrix load(MatrixSource source, boolean rounded) {
    float[] values = new float[source.rows() * source.columns()];
    source.read(0, source.rows(), values, 0);
    double[] data = new double[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = rounded ? round(values[i], dtype) : values[i];
    }
    return new Matrix(source.rows(), source.columns(), data);
  }

  @Override
  public Weight matrix(MatrixSource source) {
    return load(source, true);
  }

  @Override
  public Weight table(MatrixSource source) {
    return load(source, true);
  }

  @Override
  public Weight vector(MatrixSource source) {
    return load(source, false);
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return load(source, false);
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention attention) {
    return load(source, true);
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    List<Matrix> gateUps = new ArrayList<>();
    List<Matrix> downs = new ArrayList<>();
    gateUp.forEach(s -> gateUps.add(load(s, true)));
    down.forEach(s -> downs.add(load(s, true)));
    return new ExpertList(gateUps, downs);
  }

  @Override
  public Tensor floats(int rows, int columns) {
    return new Values(rows, columns, false);
  }

  @Override
  public Tensor operand(int rows, int columns) {
    return new Values(rows, columns, true);
  }

  private static double[] poisoned(int length) {
    double[] data = new double[length];
    Arrays.fill(data, Double.NaN);
    return data;
  }

  @Override
  public Routing routing(int rows, Router router) {
    return new Choices(rows, router.topK());
  }

  @Override
  public KvCache kvCache(int layers, int blocks, int blockSize, Attention attention) {
    return new Cache(layers, blocks, blockSize, attention.cacheColumns());
  }

  @Override
  public long kvBlockBytes(int layers, int blockSize, Attention attention) {
    return 8L * layers * blockSize * attention.cacheColumns();
  }

  private void store(Values out, int index, double value) {
    out.data[index] = out.isOperand ? round(value, operand) : value;
  }

  @Override
  public void run(Step step, IntConsumer equations) {
    equations.accept(step.tokens());
  }

  @Override
  public void copyBlocks(KvCache cache, Step step) {
    for (int i = 0; i < step.copies(); i++) {
      ((Cache) cache).copy(step.copySource(i), step.copyTarget(i), step.copyTokens(i));
    }
  }

  @Override
  public void embed(Tensor x, Weight table, Step step) {
    Values out = (Values) x;
    Matrix m = (Matrix) table;
    for (int t = 0; t < step.tokens(); t++) {
      for (int i = 0; i < m.columns; i++) {
        store(out, t * out.columns + i, m.get(step.tokenId(t), i));
      }
    }
  }

  @Override
  public void rmsNorm(Tensor out, Tensor x, int from, Weight gain, float epsilon, int n) {
    Matrix g = (Matrix) gain;
    Values in = (Values) x;
    Values to = (Values) out;
    for (int t = 0; t < n; t++) {
      double[] normed = normed(in.data, t * in.columns + from, g, epsilon);
      for (int i = 0; i < normed.length; i++) {
        store(to, t * to.columns + i, normed[i]);
      }
    }
  }

  private static double[] normed(double[] x, int at, Matrix gain, float epsilon) {
    int width = gain.data.length;
    double sum = 0;
    for (int i = 0; i < width; i++) {
      sum += x[at + i] * x[at + i];
    }
    double scale = 1 / Math.sqrt(sum / width + epsilon);
    double[] out = new double[width];
    Arrays.setAll(out, i -> x[at + i] * scale * gain.data[i]);
    return out;
  }

  private static double dot(Matrix w, int row, double[] x, int at) {
    double sum = 0;
    for (int i = 0; i < w.columns; i++) {
      sum += w.get(row, i) * x[at + i];
    }
    return sum;
  }

  @Override
  public void matmul(Tensor out, Tensor x, Weight w, int n) {
    multiply((Values) out, (Values) x, (Matrix) w, n, false);
  }

  @Override
  public void matmulAdd(Tensor out, Tensor x, Weight w, int n) {
    multiply((Values) out, (Values) x, (Matrix) w, n, true);
  }

  private void multiply(Values out, Values x, Matrix w, int n, boolean add) {
    for (int t = 0; t < n; t++) {
      for (int row = 0; row < w.rows; row++) {
        int at = t * out.columns + row;
        store(out, at, dot(w, row, x.data, t * x.columns) + (add ? out.data[at] : 0));
      }
    }
  }

  @Override
  public void swiglu(Tensor out, Tensor gateUp, int n) {
    Values to = (Values) out;
    Values in = (Values) gateUp;
    int h = in.columns / 2;
    for (int t = 0; t < n; t++) {
      for (int i = 0; i < h; i++) {
        double up = in.get(t, h + i);
        store(to, t * to.columns + i, silu(in.get(t, i)) * up);
      }
    }
  }

  private static double silu(double x) {
    return x / (1 + Math.exp(-x));
  }

  @Override
  public void appendLatent(
      KvCache cache,
      int layer,
      Tensor kv,
      int from,
      Weight gain,
      Rope rope,
      Attention attention,
      Step step) {
    Values in = (Values) kv;
    Cache c = (Cache) cache;
    double[] entries = c.layers[layer];
    for (int t = 0; t < step.tokens(); t++) {
      int at = c.at(step.blockTable(step.sequence(t)), step.cacheIndex(t));
      double[] latent =
          normed(in.data, t * in.columns + from, (Matrix) gain, attention.normEpsilon());
      for (int i = 0; i < latent.length; i++) {
        entries[at + i] = round(latent[i], dtype);
      }
      double[] key =
          rotated(in.data, t * in.columns + from + attention.latentDim(), rope, step.position(t));
      for (int i = 0; i < key.length; i++) {
        entries[at + attention.latentDim() + i] = round(key[i], dtype);
      }
    }
  }

  private static double[] rotated(double[] x, int at, Rope rope, int position) {
    double[] out = new double[rope.dimension()];
    for (int i = 0; i < out.length / 2; i++) {
      double angle = position * rope.inverseFrequency(i);
      double cos = Math.cos(angle) * rope.attentionFactor();
      double sin = Math.sin(angle) * rope.attentionFactor();
      double a = x[at + 2 * i];
      double b = x[at + 2 * i + 1];
      out[2 * i] = a * cos - b * sin;
      out[2 * i + 1] = a * sin + b * cos;
    }
    return out;
  }

  /** The naive form: keys and values of every visible entry are projected up from its latent. */
  @Override
  public void latentAttention(
      Tensor out,
      Tensor q,
      KvCache cache,
      int layer,
      Weight kvB,
      Rope rope,
      Attention attention,
      Step step) {
    Values to = (Values) out;
    Values queries = (Values) q;
    Matrix w = (Matrix) kvB;
    Cache c = (Cache) cache;
    double[] entries = c.layers[layer];
    int nope = attention.nopeDim();
    int value = attention.valueDim();
    int width = nope + attention.ropeDim();
    for (int t = 0; t < step.tokens(); t++) {
      int[] visible = visible(step, t, c);
      for (int head = 0; head < attention.heads(); head++) {
        int at = t * queries.columns + head * width;
        int up = head * (nope + value);
        double[] rotated = rotated(queries.data, at + nope, rope, step.position(t));
        double[] scores = new double[visible.length];
        for (int j = 0; j < visible.length; j++) {
          double sum = 0;
          for (int i = 0; i < nope; i++) {
            sum += queries.data[at + i] * dot(w, up + i, entries, visible[j]);
          }
          for (int i = 0; i < rotated.length; i++) {
            sum += rotated[i] * entries[visible[j] + attention.latentDim() + i];
          }
          scores[j] = sum * attention.softmaxScale();
        }
        softmax(scores);
        for (int i = 0; i < value; i++) {
          double sum = 0;
          for (int j = 0; j < visible.length; j++) {
            sum += scores[j] * dot(w, up + nope + i, entries, visible[j]);
          }
          store(to, t * to.columns + head * value + i, sum);
        }
      }
    }
  }

  private static int[] visible(Step step, int t, Cache cache) {
    int[] table = step.blockTable(step.sequence(t));
    return IntStream.concat(
            IntStream.range(0, step.prefixLength(t)),
            IntStream.range(step.ancestorStart(t), step.ancestorStart(t + 1)).map(step::ancestor))
        .map(index -> cache.at(table, index))
        .toArray();
  }

  private static void softmax(double[] scores) {
    double max = Arrays.stream(scores).max().orElseThrow();
    double sum = 0;
    for (int j = 0; j < scores.length; j++) {
      scores[j] = Math.exp(scores[j] - max);
      sum += scores[j];
    }
    for (int j = 0; j < scores.length; j++) {
      scores[j] /= sum;
    }
  }

  @Override
  public void route(Routing routing, Tensor x, Weight gate, Weight bias, Router router, int n) {
    Choices out = (Choices) routing;
    Values in = (Values) x;
    Matrix g = (Matrix) gate;
    double[] b = ((Matrix) bias).data;
    for (int t = 0; t < n; t++) {
      double[] p = new double[router.experts()];
      double[] score = new double[router.experts()];
      for (int e = 0; e < p.length; e++) {
        p[e] = 1 / (1 + Math.exp(-dot(g, e, in.data, t * in.columns)));
        score[e] = p[e] + b[e];
      }
      int perGroup = router.experts() / router.groups();
      double[] groupScore = new double[router.groups()];
      for (int j = 0; j < groupScore.length; j++) {
        double[] members = Arrays.copyOfRange(score, j * perGroup, (j + 1) * perGroup);
        Arrays.sort(members);
        groupScore[j] = members[perGroup - 1] + (perGroup > 1 ? members[perGroup - 2] : 0);
      }
      int[] groups = largest(groupScore, router.topGroups());
      for (int e = 0; e < p.length; e++) {
        int group = e / perGroup;
        if (Arrays.stream(groups).noneMatch(j -> j == group)) {
          score[e] = Double.NEGATIVE_INFINITY;
        }
      }
      int[] chosen = largest(score, router.topK());
      Arrays.sort(chosen);
      double sum = Arrays.stream(chosen).mapToDouble(e -> p[e]).sum() + 1e-20;
      for (int k = 0; k < chosen.length; k++) {
        out.experts[t * out.topK + k] = chosen[k];
        out.weights[t * out.topK + k] =
            p[chosen[k]] / (router.normalise() ? sum : 1) * router.scale();
      }
    }
  }

  /** Indices of the {@code k} largest values, the lower index first among equals. */
  private static int[] largest(double[] values, int k) {
    return IntStream.range(0, values.length)
        .boxed()
        .sorted((a, b) -> Double.compare(values[b], values[a]))
        .limit(k)
        .mapToInt(Integer::intValue)
        .toArray();
  }

  @Override
  public void experts(Tensor out, Tensor x, Routing routing, Experts experts, int n) {
    Values to = (Values) out;
    Values in = (Values) x;
    Choices choices = (Choices) routing;
    ExpertList list = (ExpertList) experts;
    for (int t = 0; t < n; t++) {
      for (int k = 0; k < choices.topK; k++) {
        int e = choices.experts[t * choices.topK + k];
        Matrix gateUp = list.gateUp.get(e);
        Matrix down = list.down.get(e);
        double[] hidden = new double[down.columns];
        for (int i = 0; i < hidden.length; i++) {
          double gate = dot(gateUp, i, in.data, t * in.columns);
          double up = dot(gateUp, hidden.length + i, in.data, t * in.columns);
          hidden[i] = round(silu(gate) * up, operand);
        }
        for (int i = 0; i < down.rows; i++) {
          to.data[t * to.columns + i] +=
              choices.weights[t * choices.topK + k] * dot(down, i, hidden, 0);
        }
      }
    }
  }

  @Override
  public void gatherLogitRows(Tensor out, Tensor x, Step step, int first, int count) {
    Values to = (Values) out;
    Values in = (Values) x;
    for (int i = 0; i < count; i++) {
      int from = step.logitToken(first + i) * in.columns;
      System.arraycopy(in.data, from, to.data, i * to.columns, in.columns);
    }
  }

  /** Draws the most probable token; what sampling draws is held to its own oracle. */
  @Override
  public void answer(LogitQueries queries, Tensor logits) {
    Values in = (Values) logits;
    for (int i = 0; i < queries.draws(); i++) {
      int row = queries.draw(i).row();
      int best = 0;
      for (int t = 1; t < in.columns; t++) {
        best = in.get(row, t) > in.get(row, best) ? t : best;
      }
      queries.draw(i).answer(best);
    }
    for (int i = 0; i < queries.logProbabilityCount(); i++) {
      int from = queries.rows()[i] * in.columns;
      double[] row = Arrays.copyOfRange(in.data, from, from + in.columns);
      double max = Arrays.stream(row).max().orElseThrow();
      double sum = Arrays.stream(row).map(v -> Math.exp(v - max)).sum();
      queries.logProbabilities()[i] = row[queries.tokens()[i]] - max - Math.log(sum);
    }
  }

  @Override
  public void read(Tensor x, int row, float[] out, int offset) {
    Values in = (Values) x;
    for (int i = 0; i < in.columns; i++) {
      out[offset + i] = (float) in.get(row, i);
    }
  }

  @Override
  public void close() {}
}
