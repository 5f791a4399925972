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

import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.MoontideException;
import dev.moontide.cpu.vector.WarmUp;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.KvCache;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The operations on a CPU: matrix products through oneDNN with weights packed in native memory, the
 * rest in Java.
 */
public final class CpuOps implements Ops {
  /** Tokens of a cache block with AMX, which needs half as many calls for them as for 32. */
  private static final int TILES_BLOCK_SIZE = 64;

  private final Arithmetic arithmetic;
  private final String description;
  private final Dnnl dnnl;
  private final NativeMemory memory = new NativeMemory();
  private final MatmulKernels kernels;
  private final WeightLoader loader;
  private final Workers workers;
  private final Lane[] lanes;

  private final Embedding embedding;
  private final Normalisation normalisation;
  private final MatrixProducts products;
  private final Gating gating;
  private final LatentAppend latentAppend;
  private final LatentAttention latentAttention;
  private final Routes routes;
  private final ExpertProducts expertProducts;
  private final Logits logits;
  private @Nullable RotationTable rotations;
  private boolean closed;

  private CpuOps(Dnnl dnnl, Arithmetic arithmetic, int threads) {
    this.dnnl = dnnl;
    this.arithmetic = arithmetic;
    description =
        "cpu: oneDNN %s, %d thread%s".formatted(arithmetic, threads, threads == 1 ? "" : "s");
    kernels = new MatmulKernels(dnnl);
    loader = new WeightLoader(dnnl, kernels, memory, arithmetic);
    workers = new Workers(threads);
    lanes = new Lane[threads];
    for (int i = 0; i < threads; i++) {
      lanes[i] = new Lane(dnnl);
    }
    embedding = new Embedding(workers, lanes);
    normalisation = new Normalisation(workers, lanes);
    products = new MatrixProducts(workers, lanes);
    gating = new Gating(workers, lanes);
    latentAppend = new LatentAppend(workers, lanes, arithmetic.stored());
    latentAttention = new LatentAttention(workers, lanes, arithmetic.operand());
    routes = new Routes(workers, lanes);
    expertProducts = new ExpertProducts(workers, lanes, arithmetic.operand());
    logits = new Logits(workers, lanes);
  }

  /**
   * Opens the CPU.
   *
   * @param precision {@code AUTO} takes bf16 where this CPU multiplies it natively, else float32;
   *     {@code BF16} keeps weights and the cache in bf16 in any case, and multiplies in float32
   *     where bf16 is not native
   * @param threads compute threads, the caller's included; 0 takes the machine's processors
   * @throws MoontideException where oneDNN does not load here
   */
  public static CpuOps create(Precision precision, int threads) {
    Dnnl dnnl = new Dnnl();
    return create(dnnl, Arithmetic.of(precision, dnnl), threads);
  }

  /** Opens the CPU with an arithmetic that need not be what it does best. */
  static CpuOps create(Arithmetic arithmetic, int threads) {
    return create(new Dnnl(), arithmetic, threads);
  }

  private static CpuOps create(Dnnl dnnl, Arithmetic arithmetic, int threads) {
    WarmUp.run();
    return new CpuOps(
        dnnl, arithmetic, threads > 0 ? threads : Runtime.getRuntime().availableProcessors());
  }

  @Override
  public String description() {
    return description;
  }

  @Override
  public DType dtype() {
    return arithmetic.stored();
  }

  /** Tokens per block of the latent cache: {@code usual}, or what this CPU is faster with. */
  public int blockSize(int usual) {
    return arithmetic == Arithmetic.BF16 && NativeBf16.byTiles(dnnl) ? TILES_BLOCK_SIZE : usual;
  }

  /** Threads that compute, the caller's included. */
  public int threads() {
    return lanes.length;
  }

  /** Nanoseconds spent inside matrix products so far, over all threads. */
  public long productNanos() {
    long sum = 0;
    for (Lane lane : lanes) {
      sum += lane.productNanos();
    }
    return sum;
  }

  // ---- loading -------------------------------------------------------------------------------

  @Override
  public Weight matrix(MatrixSource source) {
    return loader.matrix(source);
  }

  @Override
  public Weight head(MatrixSource source) {
    return loader.head(source);
  }

  @Override
  public Weight table(MatrixSource source) {
    return new TableWeight(arithmetic.stored(), source, memory);
  }

  @Override
  public Weight vector(MatrixSource source) {
    float[] values = new float[source.columns()];
    source.read(0, 1, values, 0);
    return new VectorWeight(values);
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return loader.floatMatrix(source);
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention attention) {
    return loader.latentProjection(source, attention);
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    return loader.experts(gateUp, down);
  }

  // ---- memory --------------------------------------------------------------------------------

  @Override
  public Tensor floats(int rows, int columns) {
    return new NativeTensor(memory, DType.F32, rows, columns);
  }

  @Override
  public Tensor operand(int rows, int columns) {
    return new NativeTensor(memory, arithmetic.operand(), rows, columns);
  }

  @Override
  public Tensor logits(int rows, int vocabulary) {
    return new FloatTensor(rows, vocabulary);
  }

  @Override
  public Routing routing(int rows, Router router) {
    return new TokenRouting(rows, router.topK());
  }

  @Override
  public KvCache kvCache(int layers, int blocks, int blockSize, Attention attention) {
    return new LatentCache(kernels, memory, arithmetic, layers, blocks, blockSize, attention);
  }

  @Override
  public long kvBlockBytes(int layers, int blockSize, Attention attention) {
    return layers * LatentLayout.blockBytes(arithmetic, blockSize, attention);
  }

  // ---- the equations -------------------------------------------------------------------------

  @Override
  public void run(Step step, IntConsumer equations) {
    equations.accept(step.tokens());
  }

  @Override
  public void copyBlocks(KvCache cache, Step step) {
    for (int i = 0; i < step.copies(); i++) {
      ((LatentCache) cache).copy(step.copySource(i), step.copyTarget(i));
    }
  }

  @Override
  public void embed(Tensor x, Weight table, Step step) {
    embedding.run((NativeTensor) x, (TableWeight) table, step);
  }

  @Override
  public void rmsNorm(Tensor out, Tensor x, int from, Weight gain, float epsilon, int n) {
    float[] gains = ((VectorWeight) gain).values();
    normalisation.run((NativeTensor) out, null, (NativeTensor) x, from, gains, epsilon, n);
  }

  @Override
  public void rmsNormToRoute(
      Tensor out, Tensor routed, Tensor x, Weight gain, float epsilon, int n) {
    float[] gains = ((VectorWeight) gain).values();
    normalisation.run(
        (NativeTensor) out, (NativeTensor) routed, (NativeTensor) x, 0, gains, epsilon, n);
  }

  @Override
  public void matmul(Tensor out, Tensor x, Weight w, int n) {
    products.multiply(out, (NativeTensor) x, (PackedWeight) w, n, false);
  }

  @Override
  public void matmulAdd(Tensor out, Tensor x, Weight w, int n) {
    products.multiply(out, (NativeTensor) x, (PackedWeight) w, n, true);
  }

  @Override
  public void swiglu(Tensor out, Tensor gateUp, int n) {
    gating.run((NativeTensor) out, (NativeTensor) gateUp, n);
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
    latentAppend.run(
        (LatentCache) cache,
        layer,
        (NativeTensor) kv,
        from,
        ((VectorWeight) gain).values(),
        rotations(rope, step),
        attention,
        step);
  }

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
    latentAttention.run(
        (NativeTensor) out,
        (NativeTensor) q,
        (LatentCache) cache,
        layer,
        (LatentWeight) kvB,
        rotations(rope, step),
        attention,
        step);
  }

  /** The rotations of every position of the step. */
  private RotationTable rotations(Rope rope, Step step) {
    RotationTable table = rotations;
    if (table == null || !table.isOf(rope)) {
      table = new RotationTable(rope);
      rotations = table;
    }
    for (int t = 0; t < step.tokens(); t++) {
      table.reach(step.position(t));
    }
    return table;
  }

  @Override
  public void route(Routing routing, Tensor x, Weight gate, Weight bias, Router router, int n) {
    routes.run(
        (TokenRouting) routing,
        (NativeTensor) x,
        (PackedWeight) gate,
        ((VectorWeight) bias).values(),
        router,
        n);
  }

  @Override
  public void experts(Tensor out, Tensor x, Routing routing, Experts experts, int n) {
    expertProducts.run(
        (NativeTensor) out, (NativeTensor) x, (TokenRouting) routing, (ExpertWeights) experts, n);
  }

  @Override
  public void gatherLogitRows(Tensor out, Tensor x, Step step, int first, int count) {
    FloatBuffer from = ((NativeTensor) x).floats();
    FloatBuffer to = ((NativeTensor) out).floats();
    int columns = x.columns();
    for (int i = 0; i < count; i++) {
      to.put(i * columns, from, step.logitToken(first + i) * columns, columns);
    }
  }

  @Override
  public void answer(LogitQueries queries, Tensor x) {
    logits.answer(queries, (FloatTensor) x);
  }

  @Override
  public void read(Tensor x, int row, float[] out, int offset) {
    if (x instanceof FloatTensor logitRows) {
      System.arraycopy(logitRows.values, row * x.columns(), out, offset, x.columns());
    } else {
      ((NativeTensor) x).get(row, 0, out, offset, x.columns());
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    workers.close();
    latentAttention.close();
    expertProducts.close();
    for (Lane lane : lanes) {
      lane.close();
    }
    loader.close();
    kernels.close();
    memory.close();
    dnnl.close();
  }
}
