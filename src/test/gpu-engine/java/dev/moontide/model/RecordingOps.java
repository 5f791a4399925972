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
package dev.moontide.model;

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Weight;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Loads weights by remembering what it was given; computes nothing. */
final class RecordingOps {
  /** A weight and how it was loaded. */
  record Loaded(String how, String name, int rows, int columns, float first, float last)
      implements Weight {
    static Loaded of(String how, MatrixSource source) {
      float[] values = new float[source.rows() * source.columns()];
      source.read(0, source.rows(), values, 0);
      return new Loaded(
          how,
          source.name(),
          source.rows(),
          source.columns(),
          values[0],
          values[values.length - 1]);
    }

    @Override
    public long bytes() {
      return 4L * rows * columns;
    }
  }

  /** A layer's experts, each matrix as it was loaded. */
  record LoadedExperts(List<Loaded> gateUp, List<Loaded> down) implements Experts {
    @Override
    public int count() {
      return gateUp.size();
    }

    @Override
    public int intermediate() {
      return down.get(0).columns();
    }

    @Override
    public long bytes() {
      return 0;
    }
  }

  final AtomicInteger closed = new AtomicInteger();
  final Queue<String> begun = new ConcurrentLinkedQueue<>();
  private final Consumer<String> onLoad;

  /**
   * @param onLoad hears each name before it is loaded
   */
  RecordingOps(Consumer<String> onLoad) {
    this.onLoad = onLoad;
  }

  Ops ops() {
    return (Ops)
        Proxy.newProxyInstance(
            Ops.class.getClassLoader(),
            new Class<?>[] {Ops.class},
            (proxy, method, arguments) -> call(method, arguments));
  }

  @SuppressWarnings("unchecked")
  private @Nullable Object call(Method method, Object[] arguments) {
    String how = method.getName();
    switch (how) {
      case "close" -> {
        closed.incrementAndGet();
        return null;
      }
      case "description" -> {
        return "recording";
      }
      case "finishLoading" -> {
        return null;
      }
      case "experts" -> {
        return new LoadedExperts(
            load("gateUp", (List<MatrixSource>) arguments[0]),
            load("down", (List<MatrixSource>) arguments[1]));
      }
      case "matrix",
          "table",
          "vector",
          "floatMatrix",
          "queryKeyValueProjection",
          "gateUp",
          "head" -> {
        return load(how, (MatrixSource) arguments[0]);
      }
      case "latentProjection" -> {
        Attention attention = (Attention) arguments[1];
        return load(how + attention.heads(), (MatrixSource) arguments[0]);
      }
      default -> throw new IllegalStateException("not a loading operation: " + how);
    }
  }

  private List<Loaded> load(String how, List<MatrixSource> sources) {
    return sources.stream().map(source -> load(how, source)).toList();
  }

  private Loaded load(String how, MatrixSource source) {
    begun.add(source.name());
    onLoad.accept(source.name());
    return Loaded.of(how, source);
  }
}
