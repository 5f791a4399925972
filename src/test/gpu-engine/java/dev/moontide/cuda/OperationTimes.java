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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntConsumer;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.Nullable;

/**
 * A GPU's operations, timed one by one where that is asked for: each then lies between two events,
 * and steps are launched kernel by kernel, not as graphs. The bytes and the arithmetic counted for
 * an operation are those it cannot do without.
 */
public final class OperationTimes implements AutoCloseable {
  /** What a product of 8,192³ reaches in PyTorch on an H200: what its power allows. */
  private static final double FP8_RATE = 1397e12;

  private static final double BF16_RATE = 777e12;

  private static final long PAUSE_BYTES = 1L << 29;

  /** Copies that keep the device busy until the host is ahead of it: about 3 ms. */
  private static final int PAUSES = 24;

  private final CudaOps device;
  private final DeviceBuffer pause;
  private final double copyRate;
  private final List<CUevent> events = new ArrayList<>();
  private final List<Work> works = new ArrayList<>();
  private boolean isTiming;
  private @Nullable Routing routing;

  /**
   * What a call has to do.
   *
   * @param bytes it reads and writes, beside those of experts
   * @param experts of which it reads the ones chosen; null for none
   * @param rate of its arithmetic
   */
  private record Work(
      String name, double bytes, @Nullable Experts experts, double flops, double rate) {}

  /** All calls of one name. */
  private static final class Sum {
    private int calls;
    private double seconds;
    private double bytes;
    private double flops;
    private double least;
  }

  /** Takes over nothing; the operations stay open. */
  public OperationTimes(CudaOps device) {
    this.device = device;
    pause = DeviceBuffer.allocate(device.device, PAUSE_BYTES, "timings");
    pause();
    device.run.stream.synchronise();
    long start = System.nanoTime();
    pause();
    device.run.stream.synchronise();
    copyRate = PAUSES * PAUSE_BYTES / ((System.nanoTime() - start) / 1e9);
  }

  /** The operations. */
  public Ops ops() {
    return (Ops)
        Proxy.newProxyInstance(
            Ops.class.getClassLoader(),
            new Class<?>[] {Ops.class},
            (proxy, method, arguments) -> call(method, arguments));
  }

  /** The room for routing made last. */
  public Routing routing() {
    return Objects.requireNonNull(routing);
  }

  /** Reads and writes {@link #PAUSE_BYTES} a copy. */
  private void pause() {
    long half = PAUSE_BYTES / 2;
    for (int i = 0; i < PAUSES; i++) {
      Calls.check(
          JCudaDriver.cuMemcpyDtoDAsync(
              pause.at(half), pause.at(0), half, device.run.stream.handle()),
          "cuMemcpyDtoDAsync");
    }
  }

  private @Nullable Object call(Method method, Object[] arguments) throws Throwable {
    if (isTiming && method.getName().equals("run")) {
      Step step = (Step) arguments[0];
      device.begin();
      device.run.prepare(step);
      ((IntConsumer) arguments[1]).accept(step.tokens());
      return null;
    }
    Work work = isTiming ? work(method.getName(), arguments) : null;
    if (work != null) {
      mark(2 * works.size());
    }
    Object result;
    try {
      result = method.invoke(device, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
    if (work != null) {
      mark(2 * works.size() + 1);
      works.add(work);
    }
    if (result instanceof Routing made) {
      routing = made;
    }
    return result;
  }

  private void mark(int i) {
    if (i == events.size()) {
      CUevent event = new CUevent();
      Calls.check(
          JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DEFAULT), "cuEventCreate");
      events.add(event);
    }
    Calls.check(
        JCudaDriver.cuEventRecord(events.get(i), device.run.stream.handle()), "cuEventRecord");
  }

  // ---- what a call has to do -------------------------------------------------------------------

  private static @Nullable Work work(String name, Object[] a) {
    return switch (name) {
      case "embed" -> move(name, 6.0 * ((Tensor) a[0]).columns() * ((Step) a[2]).tokens());
      case "rmsNorm" -> move(name, 6.0 * ((Weight) a[3]).columns() * (int) a[5]);
      case "matmul" -> product(name, (Weight) a[2], (int) a[3], 4);
      case "matmulAdd" -> product(name, (Weight) a[2], (int) a[3], 8);
      case "gated" -> product(name, (Weight) a[3], (int) a[4], 1);
      case "swiglu" -> move(name, 10.0 * ((Tensor) a[0]).columns() * (int) a[2]);
      case "appendLatent" ->
          move(name, 6.0 * ((Attention) a[6]).cacheColumns() * ((Step) a[7]).tokens());
      case "latentAttention" -> attention((Weight) a[4], (Attention) a[6], (Step) a[7]);
      case "route" -> product(name, (Weight) a[2], (int) a[5], 0);
      case "experts" -> experts((Tensor) a[1], (Routing) a[2], (Experts) a[3], (int) a[4]);
      case "gatherLogitRows" -> move(name, 8.0 * ((Tensor) a[1]).columns() * (int) a[4]);
      case "answer" -> move(name, 4.0 * ((Tensor) a[1]).columns() * ((LogitQueries) a[0]).draws());
      default -> null;
    };
  }

  private static Work move(String name, double bytes) {
    return new Work(name, bytes, null, 0, 1);
  }

  /** A product of operands of one byte a number, where the weight is FP8, or of two. */
  private static Work product(String name, Weight w, int n, int outBytes) {
    boolean isFp8 = isFp8(w);
    double bytes = w.bytes() + (double) n * (w.columns() * (isFp8 ? 1 : 2) + w.rows() * outBytes);
    return new Work(
        "%s %d x %d".formatted(name, w.rows(), w.columns()),
        bytes,
        null,
        2.0 * n * w.rows() * w.columns(),
        isFp8 ? FP8_RATE : BF16_RATE);
  }

  private static boolean isFp8(Weight w) {
    return (w instanceof TileWeight tiles && tiles.layout().form() == WeightForm.FP8)
        || (w instanceof CudaWeight plain && plain.layout().form() == WeightForm.FP8);
  }

  private static Work experts(Tensor x, Routing routing, Experts experts, int n) {
    double flops = 2.0 * n * routing.topK() * 3 * experts.intermediate() * x.columns();
    return new Work("experts", 9.0 * n * x.columns(), experts, flops, FP8_RATE);
  }

  /** Generated tokens in the absorbed form, the prompt's in the naive one; the cache read once. */
  private static Work attention(Weight kvB, Attention shape, Step step) {
    double flops = 0;
    double entries = 0;
    int head = shape.latentDim() * (shape.nopeDim() + shape.valueDim());
    for (int t = 0; t < step.tokens(); t++) {
      double visible = step.prefixLength(t) + step.ancestorStart(t + 1) - step.ancestorStart(t);
      boolean isLast = t + 1 == step.tokens() || step.sequence(t + 1) != step.sequence(t);
      entries += isLast ? visible : 0;
      int width =
          step.isPrompt(t)
              ? shape.nopeDim() + shape.ropeDim() + shape.valueDim()
              : shape.cacheColumns() + shape.latentDim();
      flops += 2.0 * shape.heads() * (visible * width + head);
    }
    double bytes =
        kvB.bytes()
            + 2 * entries * shape.cacheColumns()
            + 2.0 * step.tokens() * (shape.queryColumns() + shape.outputColumns());
    return new Work("latentAttention", bytes, null, flops, BF16_RATE);
  }

  // ---- a step ----------------------------------------------------------------------------------

  /** Times the operations called from now on. */
  public void start() {
    works.clear();
    isTiming = true;
    device.begin();
    pause();
  }

  /**
   * Ends that, and prints what each operation took.
   *
   * @param what was run
   * @param tokens of the step
   */
  public void print(String what, int tokens) {
    isTiming = false;
    device.run.stream.synchronise();
    double chosen = ChosenExperts.distinct(routing(), tokens);
    Map<String, Sum> sums = new LinkedHashMap<>();
    Sum total = new Sum();
    for (int i = 0; i < works.size(); i++) {
      Work work = works.get(i);
      Sum sum = sums.computeIfAbsent(work.name(), name -> new Sum());
      Experts experts = work.experts();
      double bytes =
          work.bytes() + (experts == null ? 0 : chosen / experts.count() * experts.bytes());
      float[] milliseconds = new float[1];
      Calls.check(
          JCudaDriver.cuEventElapsedTime(milliseconds, events.get(2 * i), events.get(2 * i + 1)),
          "cuEventElapsedTime");
      for (Sum to : List.of(sum, total)) {
        to.calls++;
        to.seconds += milliseconds[0] / 1e3;
        to.bytes += bytes;
        to.flops += work.flops();
        to.least += Math.max(bytes / copyRate, work.flops() / work.rate());
      }
    }
    System.out.printf(
        Locale.ROOT,
        "%s, operation by operation; least: at %.2f TB/s copied, %.0f FP8 and %.0f bf16 TFLOP/s%n"
            + "%-28s %5s %9s %6s %7s %8s %9s %6s%n",
        what,
        copyRate / 1e12,
        FP8_RATE / 1e12,
        BF16_RATE / 1e12,
        "operation",
        "calls",
        "us",
        "share",
        "GB/s",
        "TFLOP/s",
        "least us",
        "ratio");
    sums.forEach((name, sum) -> print(name, sum, total));
    print("all", total, total);
  }

  private static void print(String name, Sum sum, Sum total) {
    System.out.printf(
        Locale.ROOT,
        "%-28s %5d %9.1f %5.1f%% %7.0f %8.1f %9.1f %6.2f%n",
        name,
        sum.calls,
        sum.seconds * 1e6,
        100 * sum.seconds / total.seconds,
        sum.bytes / sum.seconds / 1e9,
        sum.flops / sum.seconds / 1e12,
        sum.least * 1e6,
        sum.least / sum.seconds);
  }

  @Override
  public void close() {
    for (CUevent event : events) {
      Calls.check(JCudaDriver.cuEventDestroy(event), "cuEventDestroy");
    }
    pause.close();
  }
}
