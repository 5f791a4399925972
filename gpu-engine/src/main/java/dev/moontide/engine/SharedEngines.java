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
package dev.moontide.engine;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Engines by their options. Concurrent callers with equal options share one load, which runs on the
 * first one's thread and blocks nobody else. A load that fails fails for those who waited; the next
 * caller tries again, as after an engine was closed.
 *
 * <p>There is one engine of a model on a device, as its weights fill the memory: other options for
 * the same model have it closed and loaded again, or are refused while it is used.
 */
final class SharedEngines {
  private static final Logger LOG = LoggerFactory.getLogger(SharedEngines.class);

  private final ConcurrentHashMap<EngineOptions, CompletableFuture<Engine>> engines =
      new ConcurrentHashMap<>();
  private final Function<EngineOptions, Engine> loader;

  SharedEngines(Function<EngineOptions, Engine> loader) {
    this.loader = loader;
  }

  /**
   * The engine for {@code options}, loading it if there is none.
   *
   * @throws MoontideException of category configuration while the model is used with other options
   */
  Engine get(EngineOptions options) {
    while (true) {
      CompletableFuture<Engine> mine = new CompletableFuture<>();
      CompletableFuture<Engine> theirs = claim(options, mine);
      if (theirs == null) {
        return load(options, mine);
      }
      Engine engine = await(theirs, options);
      if (!engine.isClosed()) {
        return engine;
      }
      engines.remove(options, theirs);
    }
  }

  /** Who loads {@code options} already; or else null, and {@code mine} is the one that does. */
  private synchronized @Nullable CompletableFuture<Engine> claim(
      EngineOptions options, CompletableFuture<Engine> mine) {
    CompletableFuture<Engine> theirs = engines.get(options);
    if (theirs == null) {
      for (EngineOptions other : List.copyOf(engines.keySet())) {
        if (other.model().equals(options.model()) && other.gpu() == options.gpu()) {
          replace(other, options);
        }
      }
      engines.put(options, mine);
    }
    return theirs;
  }

  private void replace(EngineOptions there, EngineOptions asked) {
    CompletableFuture<Engine> loading = engines.get(there);
    if (loading == null || loading.isCompletedExceptionally()) {
      return;
    }
    String differences = EngineOptions.differences(asked.byName(), there.byName());
    if (!loading.isDone() || !loading.join().closeIfUnused()) {
      throw MoontideException.configuration(
          "the engine of %s is in use in this JVM with other options, and a JVM has one engine of a"
              + " model: %s; give the same, or run this when what uses the engine is done",
          asked.model(), differences);
    }
    LOG.info(
        "closed the engine of {} to load it with other options: {}", asked.model(), differences);
    engines.remove(there, loading);
  }

  /** The engines that are loaded and not closed. */
  List<Engine> loaded() {
    return engines.values().stream()
        .filter(future -> future.isDone() && !future.isCompletedExceptionally())
        .map(CompletableFuture::join)
        .filter(engine -> !engine.isClosed())
        .toList();
  }

  private Engine load(EngineOptions options, CompletableFuture<Engine> future) {
    try {
      Engine engine = loader.apply(options);
      future.complete(engine);
      return engine;
    } catch (RuntimeException | Error e) {
      engines.remove(options, future);
      future.completeExceptionally(e);
      throw e;
    }
  }

  private static Engine await(CompletableFuture<Engine> future, EngineOptions options) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new MoontideException(
          MoontideException.Category.ENGINE,
          "interrupted while waiting for " + options.model() + " to load",
          e);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      MoontideException.Category category =
          cause instanceof MoontideException known
              ? known.category()
              : MoontideException.Category.ENGINE;
      throw new MoontideException(
          category, "loading " + options.model() + " failed: " + cause.getMessage(), cause);
    }
  }
}
