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
import dev.moontide.api.GenerationRequest;
import java.util.Iterator;

/**
 * One model on one device, serving any number of tasks at once: their requests run in one batch.
 * Thread-safe.
 */
public final class Engine implements AutoCloseable {
  Engine() {}

  /** The JVM's engine for {@code options}, loaded on first use and shared by equal options. */
  public static Engine shared(EngineOptions options) {
    throw new IllegalStateException("skeleton");
  }

  /**
   * Answers requests in completion order. Requests are drawn on the calling thread and only when
   * there is room; {@code hasNext} blocks until a result is there. The stream should be closed when
   * the caller stops early (a killed task), which drops what it still has in the engine.
   */
  public ResultStream generate(Iterator<GenerationRequest> requests) {
    throw new IllegalStateException("skeleton");
  }

  /** Longest prompt and output together, in tokens. */
  public int maxModelLength() {
    throw new IllegalStateException("skeleton");
  }

  /** Totals since the start. */
  public EngineStatistics statistics() {
    throw new IllegalStateException("skeleton");
  }

  @Override
  public void close() {
    throw new IllegalStateException("skeleton");
  }
}
