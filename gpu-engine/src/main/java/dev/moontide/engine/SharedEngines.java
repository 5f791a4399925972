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

/**
 * Engines by their options. Concurrent callers with equal options share one load, which runs on the
 * first one's thread and blocks nobody else. A load that fails fails for those who waited; the next
 * caller tries again, as after an engine was closed.
 */
final class SharedEngines {
  private final ConcurrentHashMap<EngineOptions, CompletableFuture<Engine>> engines =
      new ConcurrentHashMap<>();
  private final Function<EngineOptions, Engine> loader;

  SharedEngines(Function<EngineOptions, Engine> loader) {
    this.loader = loader;
  }

  /** The engine for {@code options}, loading it if there is none. */
  Engine get(EngineOptions options) {
    while (true) {
      CompletableFuture<Engine> mine = new CompletableFuture<>();
      CompletableFuture<Engine> theirs = engines.putIfAbsent(options, mine);
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
